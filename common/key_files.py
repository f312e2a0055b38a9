"""Reads private keys from files that only their owner may read, and that may be encrypted with a passphrase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from common import keys
from common.errors import ConfigurationError
from common.files import read_private
from common.pkcs8 import is_encrypted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

# Returns the passphrase of an encrypted file, and is asked for no other.
Passphrase = Callable[[Path], bytes]
LONGEST_PASSPHRASE = 1024  # bytes; OpenSSL takes no more


def read_key(
    path: Path,
    passphrase: Passphrase,
    damaged: Callable[[Path], ConfigurationError],
    read: Callable[[Path], bytes] = read_private,
) -> rsa.RSAPrivateKey:
    """Return the key in a file, the first where there are several; raises as ``read_keys`` does."""
    return read_keys(path, passphrase, damaged, read)[0][0]


def read_keys(
    path: Path,
    passphrase: Passphrase,
    damaged: Callable[[Path], ConfigurationError],
    read: Callable[[Path], bytes] = read_private,
) -> tuple[list[rsa.RSAPrivateKey], bytes | None]:
    """Return the keys in a file, one at least, and their passphrase if they have one.

    Raises ConfigurationError: ``wrong_passphrase`` where the passphrase does not open it, ``exposed_key`` where others
    may read it, and what ``damaged`` returns where it is no key.
    """
    pem = read(path)
    given = passphrase(path) if is_encrypted(pem) else None
    try:
        return keys.read_all(pem, given), given
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise damaged(path) if given is None else wrong_passphrase(path) from error


def passphrase_of(path: Path, passphrase: Passphrase) -> bytes | None:
    """Return the passphrase of a key file, None for one that is not encrypted."""
    return passphrase(path) if is_encrypted(read_private(path)) else None


def no_passphrase(path: Path) -> bytes:
    """Refuse to open an encrypted file: there is nobody to ask."""
    raise missing_passphrase(f"{path} is encrypted, and there is no passphrase")


def missing_passphrase(message: str, option: str = "--passphrase-file") -> ConfigurationError:
    """Return the error for a passphrase that is needed and not given; ``option`` is one to give it with."""
    return ConfigurationError(
        message,
        hint=f"name a file that holds it with {option}, or start the command in a terminal, which asks for it; that of "
        "a key that is there may be in SEALCAST_PASSPHRASE, too",
        code="no_passphrase",
    )


def wrong_passphrase(path: Path) -> ConfigurationError:
    """Return the error for a passphrase that is not that of the file."""
    return ConfigurationError(
        f"the passphrase does not open {path}",
        hint="try again; if the passphrase is right, the file is damaged: restore it from a backup",
        code="wrong_passphrase",
    )
