"""An encrypted key is what OpenSSL and cryptography read, and no guess at its passphrase is cheap."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import authorities
import pytest
from cryptography.hazmat.primitives import serialization

from common import keys, pkcs8

if TYPE_CHECKING:
    from pathlib import Path

KEY = authorities.default().member("alice").key
PASSPHRASES = [b"seven quiet boats at dusk", "sieben stille Böte".encode(), b"x" * 1024, b" \x01\xff"]


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["/usr/bin/openssl", *arguments], capture_output=True, check=True).stdout


@pytest.mark.parametrize("passphrase", PASSPHRASES, ids=len)
def test_cryptography_and_we_open_it(passphrase: bytes) -> None:
    pem = keys.to_pem(KEY, passphrase)
    assert pkcs8.is_encrypted(pem)
    assert not pkcs8.is_encrypted(keys.to_pem(KEY))
    opened = serialization.load_pem_private_key(pem, passphrase)
    assert opened.public_key() == keys.read(pem, passphrase).public_key() == KEY.public_key()
    with pytest.raises(ValueError, match="password"):
        keys.read(pem, passphrase + b"x")
    with pytest.raises(TypeError):
        keys.read(pem)


def test_openssl_opens_it_and_says_how_it_is_encrypted(tmp_path: Path) -> None:
    file, secret = tmp_path / "key.pem", tmp_path / "secret"
    file.write_bytes(keys.to_pem(KEY, PASSPHRASES[0]))
    secret.write_bytes(PASSPHRASES[0] + b"\n")
    opened = openssl("pkcs8", "-in", file, "-passin", f"file:{secret}")
    assert keys.read(opened).public_key() == KEY.public_key()
    shown = openssl("asn1parse", "-in", file).decode()
    # N, r and p of OWASP's cheat sheet for 16 MiB.
    for part in (":PBES2", ":scrypt", ":aes-256-cbc", "INTEGER           :4000", ":08\n", ":05\n"):
        assert part in shown


def test_no_two_are_the_same() -> None:
    assert keys.to_pem(KEY, PASSPHRASES[0]) != keys.to_pem(KEY, PASSPHRASES[0])
