"""Encrypts the keys of the authority and the registrar with another passphrase, or with none.

The broker's key stays as it is: Mosquitto reads it at every start and every SIGHUP, with nobody there to type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import keys
from common.errors import ConfigurationError
from common.files import write_private
from registrar.authority import REGISTRAR_KEY, ROOT_KEY, issuing_key_files, read_root
from registrar.authority_files import exclusively, read_key

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.key_files import Passphrase


def encrypt_keys(home: Path, passphrase: Passphrase, new: bytes | None) -> list[Path]:
    """Encrypt every key with ``new`` (None: with nothing); return their files.

    All are opened before the first is written. What a crash leaves is encrypted with one or the other, so the same
    again completes it. A root key that is kept elsewhere stays as it is. Raises ConfigurationError.
    """
    with exclusively(home):
        read_root(home)
        files = [home / name for name in (ROOT_KEY, *issuing_key_files(home), REGISTRAR_KEY)]
        opened = {file: _open(file, passphrase, new) for file in files if file.exists() or file != home / ROOT_KEY}
        for file, key in opened.items():
            write_private(file, keys.to_pem(key, new))
    return list(opened)


def _open(file: Path, passphrase: Passphrase, new: bytes | None) -> rsa.RSAPrivateKey:
    if new is not None:
        try:
            # Encrypted by an earlier try that was interrupted.
            return read_key(file, lambda _: new)
        except ConfigurationError as error:
            if error.code != "wrong_passphrase":
                raise
    return read_key(file, passphrase)
