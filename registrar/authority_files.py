"""Reads the files of the authority; what is missing, exposed or damaged is a ConfigurationError that names it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from cryptography import x509

from common import certificates, key_files
from common.errors import ConfigurationError, VerificationError
from common.files import read_private, reason
from common.key_files import no_passphrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.key_files import Passphrase


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


def read_key(path: Path, passphrase: Passphrase = no_passphrase, *, private: bool = True) -> rsa.RSAPrivateKey:
    """Return the key in a file that, where it is ``private``, only its owner may read."""
    return key_files.read_key(path, passphrase, damaged, read_private if private else read)


def read_key_of(certificate: x509.Certificate, path: Path, passphrase: Passphrase) -> rsa.RSAPrivateKey:
    """Return the key in a file, which has to be that of the certificate."""
    key = read_key(path, passphrase)
    if key.public_key() != certificate.public_key():
        raise damaged(path)
    return key


@contextlib.contextmanager
def exclusively(home: Path) -> Iterator[None]:
    """Let one process at a time change the authority under ``home``; the others wait, and what ends lets go."""
    try:
        descriptor = os.open(home / "authority", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigurationError(
            f"there is no certificate authority in {home}",
            hint="make one with `registrar init`, or name its folder with --home",
            code="no_authority",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def stamp(paths: Iterable[Path]) -> tuple[tuple[int, int] | None, ...]:
    """Return what differs as soon as one of these files is replaced: its inode and when it was written."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def damaged(path: Path) -> ConfigurationError:
    """Return the error for a file that is not what it should be."""
    return ConfigurationError(
        f"{path} is damaged, or does not belong to the other files of the authority",
        hint="restore the folder from a backup",
        code="corrupt_authority",
    )
