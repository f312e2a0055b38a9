"""RSA keys: making, reading, writing, and what keys are accepted from others (docs/protocol.md, "Trust").

Pure: no I/O. Errors are cryptography's own and ValueError; who knows the file or the message names it.
"""

from __future__ import annotations

import re

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from common import pkcs8

AUTHORITY_SIZE = 3072
_SMALLEST, _LARGEST = 2048, 4096
_PUBLIC_EXPONENT = 65537
_BLOCK = re.compile(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)


def generate(size: int) -> rsa.RSAPrivateKey:
    """Return a fresh key of ``size`` bits."""
    return rsa.generate_private_key(_PUBLIC_EXPONENT, size)


def to_pem(key: rsa.RSAPrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return the key as PEM (PKCS #8), encrypted with the passphrase if there is one."""
    encoding = serialization.Encoding.PEM if passphrase is None else serialization.Encoding.DER
    info = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return info if passphrase is None else pkcs8.encrypt(info, passphrase)


def read(pem: bytes, passphrase: bytes | None = None) -> rsa.RSAPrivateKey:
    """Return the key that ``pem`` holds, encrypted with the passphrase if there is one.

    Raises ValueError, TypeError, UnsupportedAlgorithm or InvalidSignature for anything but an RSA key that works. A
    trial signature shows it in 1 ms; cryptography's check of the primes takes 150 ms at 3072 bits (measured).
    """
    key = serialization.load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the key is not RSA")
    trial = key.sign(b"", padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(trial, b"", padding.PKCS1v15(), hashes.SHA256())
    return key


def read_all(pem: bytes, passphrase: bytes | None = None) -> list[rsa.RSAPrivateKey]:
    """Return the keys that ``pem`` holds, one at least; raises as ``read`` does."""
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise ValueError("there is no key")
    return [read(block, passphrase) for block in blocks]


def check_public(key: object) -> rsa.RSAPublicKey:
    """Return a key that may be certified: RSA, 2048 to 4096 bits, exponent 65537; raises ValueError or TypeError."""
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("the key is not RSA")
    if not _SMALLEST <= key.key_size <= _LARGEST:
        raise ValueError(f"the key has {key.key_size} bits, not {_SMALLEST} to {_LARGEST}")
    if key.public_numbers().e != _PUBLIC_EXPONENT:
        raise ValueError(f"the public exponent is not {_PUBLIC_EXPONENT}")
    return key
