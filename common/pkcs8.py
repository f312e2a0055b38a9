"""Encrypts a private key with a passphrase: EncryptedPrivateKeyInfo (RFC 5958), by scrypt (RFC 7914) and AES-256-CBC.

OpenSSL and cryptography read it. What cryptography writes itself takes 2,048 rounds of PBKDF2, and 1 ms a guess; this
scrypt takes 0.2 s and 16 MiB (measured). OpenSSL allows 32 MiB at most.
"""

from __future__ import annotations

import base64
import os
import textwrap
from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.x509 import ObjectIdentifier

_KEY_SIZE, _SALT_SIZE, _BLOCK_SIZE = 32, 16, 16  # bytes
_COST, _MEMORY_BLOCK, _PARALLEL = 16384, 8, 5
_LABEL = "ENCRYPTED PRIVATE KEY"
_HEAD = f"-----BEGIN {_LABEL}-----".encode()


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    cost: int = _COST
    block_size: int = _MEMORY_BLOCK
    parallelization: int = _PARALLEL


@asn1.sequence
class _ScryptAlgorithm:
    algorithm: ObjectIdentifier = ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
    parameters: _ScryptParameters


@asn1.sequence
class _CbcAlgorithm:
    algorithm: ObjectIdentifier = ObjectIdentifier("2.16.840.1.101.3.4.1.42")
    initialization_vector: Annotated[bytes, asn1.Size.exact(_BLOCK_SIZE)]


@asn1.sequence
class _Pbes2Parameters:
    key_derivation: _ScryptAlgorithm
    encryption: _CbcAlgorithm


@asn1.sequence
class _Pbes2Algorithm:
    algorithm: ObjectIdentifier = ObjectIdentifier("1.2.840.113549.1.5.13")
    parameters: _Pbes2Parameters


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    algorithm: _Pbes2Algorithm
    encrypted_data: bytes


def encrypt(key_info: bytes, passphrase: bytes) -> bytes:
    """Return a PrivateKeyInfo (DER) encrypted with a passphrase, PEM."""
    salt, vector = os.urandom(_SALT_SIZE), os.urandom(_BLOCK_SIZE)
    derived = Scrypt(salt, _KEY_SIZE, _COST, _MEMORY_BLOCK, _PARALLEL).derive(passphrase)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(derived), modes.CBC(vector)).encryptor()
    padded = padder.update(key_info) + padder.finalize()
    info = _EncryptedPrivateKeyInfo(
        algorithm=_Pbes2Algorithm(
            parameters=_Pbes2Parameters(
                key_derivation=_ScryptAlgorithm(parameters=_ScryptParameters(salt=salt)),
                encryption=_CbcAlgorithm(initialization_vector=vector),
            )
        ),
        encrypted_data=encryptor.update(padded) + encryptor.finalize(),
    )
    lines = textwrap.wrap(base64.b64encode(asn1.encode_der(info)).decode(), 64)
    return "\n".join([_HEAD.decode(), *lines, f"-----END {_LABEL}-----", ""]).encode()


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a private key, PEM, is encrypted with a passphrase."""
    return _HEAD in pem
