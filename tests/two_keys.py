"""One AES-256-GCM ciphertext that opens under two keys (the "invisible salamander" of Dodis and others, 2018).

GCM's tag is linear in each ciphertext block, so one free block can be chosen such that the tags under both keys agree.
That both keys pass the tag is why the profile commits to the key.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16


def encrypt(
    first_key: bytes, second_key: bytes, nonce: bytes, attributes: bytes, content: bytes
) -> tuple[bytes, bytes]:
    """Return (ciphertext, tag) that holds under both keys; the first opens it to the content, and 16 to 31 bytes."""
    encryptor = Cipher(algorithms.AES256(first_key), modes.GCM(nonce)).encryptor()
    ciphertext = encryptor.update(content + bytes(-len(content) % _BLOCK))
    (first_square, first_sum), (second_square, second_sum) = (
        _square_and_sum(key, nonce, attributes, ciphertext) for key in (first_key, second_key)
    )
    free_block = _multiply(first_sum ^ second_sum, _inverse(first_square ^ second_square))
    tag = first_sum ^ _multiply(free_block, first_square)
    return ciphertext + free_block.to_bytes(_BLOCK), tag.to_bytes(_BLOCK)


def _square_and_sum(key: bytes, nonce: bytes, attributes: bytes, ciphertext: bytes) -> tuple[int, int]:
    """Return H squared, and the tag with a block of zeros after the ciphertext (NIST SP 800-38D, section 7)."""
    block_cipher = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305 - GCM is made of it
    subkey = int.from_bytes(block_cipher.update(bytes(_BLOCK)))
    mask = int.from_bytes(block_cipher.update(nonce + (1).to_bytes(4)))
    lengths = (8 * len(attributes)).to_bytes(8) + (8 * (len(ciphertext) + _BLOCK)).to_bytes(8)
    hashed = attributes + bytes(-len(attributes) % _BLOCK) + ciphertext + bytes(_BLOCK) + lengths
    total = 0
    for start in range(0, len(hashed), _BLOCK):
        total = _multiply(total ^ int.from_bytes(hashed[start : start + _BLOCK]), subkey)
    return _multiply(subkey, subkey), total ^ mask


def _multiply(left: int, right: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if right >> bit & 1:
            product ^= left
        left = left >> 1 ^ (0xE1 << 120 if left & 1 else 0)
    return product


def _inverse(value: int) -> int:
    # value ** (2**128 - 2): Fermat in a field of 2**128 elements
    power, result = value, 1 << 127
    for _ in range(127):
        power = _multiply(power, power)
        result = _multiply(result, power)
    return result
