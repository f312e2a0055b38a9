"""Builds the certificates that the authorities sign; what is valid begins a little before it is signed.

A certificate is valid from ``clock_tolerance`` before the time of signing, so that it is accepted at once where a clock
is behind.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from common import profiles

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.settings import Settings

ROOT_NAME, ISSUING_NAME = "Sealcast root CA", "Sealcast issuing CA"


def sign_root(key: rsa.RSAPrivateKey, settings: Settings, now: dt.datetime) -> x509.Certificate:
    """Return the certificate of a root, signed by itself."""
    end = now + dt.timedelta(days=settings.root_certificate_days)
    return _sign_authority(
        ROOT_NAME, key, key, path_length=profiles.ROOT_PATH_LENGTH, end=end, settings=settings, now=now
    )


def sign_issuing(
    number: int,
    key: rsa.RSAPrivateKey,
    *,
    root: x509.Certificate,
    root_key: rsa.RSAPrivateKey,
    settings: Settings,
    now: dt.datetime,
) -> x509.Certificate:
    """Return the certificate of an issuing CA, the first (1) or a later one of this root; none outlives the root."""
    end = min(now + dt.timedelta(days=settings.issuing_certificate_days), root.not_valid_after_utc)
    length = profiles.ISSUING_PATH_LENGTH
    return _sign_authority(issuing_name(number), key, root_key, path_length=length, end=end, settings=settings, now=now)


def issuing_name(number: int) -> str:
    """Return the CN of an issuing CA: each has another, so that their certificates and lists are told apart."""
    return ISSUING_NAME if number == 1 else f"{ISSUING_NAME} {number}"


def _sign_authority(
    name: str,
    key: rsa.RSAPrivateKey,
    root_key: rsa.RSAPrivateKey,
    *,
    path_length: int,
    end: dt.datetime,
    settings: Settings,
    now: dt.datetime,
) -> x509.Certificate:
    extensions = profiles.authority_extensions(key.public_key(), root_key.public_key(), path_length=path_length)
    builder = certificate_builder(name, key.public_key(), extensions).issuer_name(profiles.common_name(ROOT_NAME))
    builder = builder.not_valid_before(begin(now, settings)).not_valid_after(end)
    return builder.sign(root_key, hashes.SHA256())


def certificate_builder(
    name: str, public_key: rsa.RSAPublicKey, extensions: profiles.Extensions
) -> x509.CertificateBuilder:
    """Return what a certificate says, but for its issuer and its lifetime."""
    builder = x509.CertificateBuilder().subject_name(profiles.common_name(name)).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    for extension in extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder


def begin(now: dt.datetime, settings: Settings) -> dt.datetime:
    """Return when what is signed now begins to be valid."""
    return now - dt.timedelta(seconds=settings.clock_tolerance)
