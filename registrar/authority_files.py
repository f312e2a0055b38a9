"""Reads the files of the authority; what is missing, exposed or damaged is a ConfigurationError that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from common import certificates, keys
from common.errors import ConfigurationError, VerificationError
from common.files import read_private, reason

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa


def read(path: Path) -> bytes:
    """Return the content of a file that others may read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}", hint="restore it from a backup", code="unreadable"
        ) from error


def read_certificate(path: Path) -> x509.Certificate:
    """Return the one certificate in a file."""
    try:
        return certificates.read_certificate(read(path))
    except VerificationError as error:
        raise damaged(path) from error


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a file, one at least."""
    try:
        return x509.load_pem_x509_certificates(read(path))
    except ValueError as error:
        raise damaged(path) from error


def read_key(path: Path) -> rsa.RSAPrivateKey:
    """Return the key in a file that only its owner may read."""
    try:
        return keys.read(read_private(path))
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise damaged(path) from error


def read_key_of(certificate: x509.Certificate, path: Path) -> rsa.RSAPrivateKey:
    """Return the key in a file, which has to be that of the certificate."""
    key = read_key(path)
    if key.public_key() != certificate.public_key():
        raise damaged(path)
    return key


def damaged(path: Path) -> ConfigurationError:
    """Return the error for a file that is not what it should be."""
    return ConfigurationError(
        f"{path} is damaged, or does not belong to the other files of the authority",
        hint="restore the folder from a backup",
        code="corrupt_authority",
    )
