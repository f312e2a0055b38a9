"""Makes and keeps the certificate authority, and signs; knows neither accounts nor topics (docs/protocol.md, "Trust").

Under the registrar's home: ``authority/`` (root and issuing CA with their keys; ``root.key`` can be moved away),
``registrar.key`` and ``registrar.pem``, and ``broker/trust/`` with all that the broker reads: ``ca.pem`` (root and
issuing CA), ``broker.pem`` (with the issuing CA behind it), ``broker.key`` and ``crl.pem``.

What is signed is valid from ``clock_tolerance`` before its time of signing on, so that a member whose clock is behind
by less accepts it at once.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from common import certificates, keys
from common.certificates import Trust
from common.errors import ConfigurationError, VerificationError
from common.files import flush_folder, make_private_folder, read_private, reason, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.settings import Settings

ROOT_KEY, ROOT = "authority/root.key", "authority/root.pem"
ISSUING_KEY, ISSUING = "authority/issuing.key", "authority/issuing.pem"
REGISTRAR_KEY, REGISTRAR = "registrar.key", "registrar.pem"
BROKER_KEY, BROKER = "broker/trust/broker.key", "broker/trust/broker.pem"
BROKER_AUTHORITIES, BROKER_CRL = "broker/trust/ca.pem", "broker/trust/crl.pem"

# There from the first file to the last: what a crash left unfinished may be overwritten, and is no authority.
_UNFINISHED = ".unfinished"
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def create(home: Path, *, hosts: Sequence[str], settings: Settings, now: dt.datetime) -> Authority:
    """Make both CAs, the certificates of the registrar and of the broker, and the first CRL, under ``home``.

    ``hosts`` are the broker's DNS names and IP addresses; localhost is always added. Raises ConfigurationError: code
    ``already_initialised`` where there is an authority, ``invalid_host``, or ``unwritable``.
    """
    names = _host_names(hosts)
    if not (home / _UNFINISHED).exists() and any((home / name).exists() for name in (ROOT, ISSUING_KEY, REGISTRAR_KEY)):
        raise ConfigurationError(
            f"there is a certificate authority in {home} already",
            hint="choose another folder with --home; every member's certificate depends on this one",
            code="already_initialised",
        )
    for folder in (home, (home / ROOT).parent, (home / BROKER).parent):
        make_private_folder(folder)
    write_private(home / _UNFINISHED, b"")

    root_key, issuing_key = keys.generate(keys.AUTHORITY_SIZE), keys.generate(keys.AUTHORITY_SIZE)
    root = _sign_authority(root_key, root_key, "Sealcast root CA", "Sealcast root CA", 1, settings, now)
    issuing = _sign_authority(issuing_key, root_key, "Sealcast issuing CA", "Sealcast root CA", 0, settings, now)
    registrar_key, broker_key = keys.generate(keys.AUTHORITY_SIZE), keys.generate(keys.AUTHORITY_SIZE)
