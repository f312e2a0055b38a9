"""`openssl cms` is the other program that has to understand the default suite."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import authorities
import handmade
import pytest
from sealed_images import open_sealed, seal
from vectors.world import IMAGE, IMAGE_ID

from common.enveloping import Cipher
from common.errors import VerificationError
from common.signing import verify_signature

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITIES = authorities.default()
ALICE, BOB, CAROL = (AUTHORITIES.member(user) for user in ("alice", "bob", "carol"))
# What a filter for text would change.
LINES = b"\x89\r\n\n\r\x00\x1a MIME-Version: 1.0\n\n\n"


def openssl(*arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("openssl")
    assert program is not None
    return subprocess.run([program, "cms", *arguments], cwd=folder, capture_output=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, holder in {"alice": ALICE, "bob": BOB, "carol": CAROL}.items():
        (tmp_path / f"{name}.pem").write_bytes(holder.certificate_pem)
        (tmp_path / f"{name}.key").write_bytes(holder.key_pem)
    (tmp_path / "ca.pem").write_bytes(AUTHORITIES.ca_pem)
    (tmp_path / "foreign.pem").write_bytes(authorities.foreign().ca_pem)
    return tmp_path


def opened_by_openssl(sealed: bytes, folder: Path, *, reader: str = "bob", authority: str = "ca.pem") -> bytes | None:
    """Run the two commands of docs/protocol.md; return None where one of them fails."""
    (folder / "sealed.der").write_bytes(sealed)
    key = ("-recip", f"{reader}.pem", "-inkey", f"{reader}.key")
    decrypted = openssl("-decrypt", "-inform", "DER", "-in", "sealed.der", *key, "-out", "signed.der", folder=folder)
    if decrypted.returncode:
        return None
    moment = ("-attime", str(int(authorities.NOW.timestamp())))
    verified = openssl(
        "-verify",
        "-inform",
        "DER",
        "-in",
        "signed.der",
        "-CAfile",
        authority,
        "-binary",
        "-out",
        "image",
        *moment,
        folder=folder,
    )
    return None if verified.returncode else (folder / "image").read_bytes()


@pytest.mark.parametrize("image", [IMAGE, LINES, b""])
def test_openssl_opens_what_we_write(image: bytes, folder: Path) -> None:
    sealed = seal(CAROL, BOB, image=image)
    for reader in ("bob", "carol"):
        assert opened_by_openssl(sealed, folder, reader=reader) == image


def test_openssl_refuses_what_we_refuse(folder: Path) -> None:
    sealed = seal(BOB)
    assert opened_by_openssl(sealed, folder) == IMAGE
    assert opened_by_openssl(sealed, folder, reader="carol") is None
    assert opened_by_openssl(sealed, folder, authority="foreign.pem") is None
    assert opened_by_openssl(sealed[:-1] + bytes([sealed[-1] ^ 1]), folder) is None
    assert opened_by_openssl(sealed.replace(IMAGE_ID.bytes, bytes(16)), folder) is None


def test_openssl_opens_what_the_encoder_of_the_vectors_writes(folder: Path) -> None:
    signed = handmade.Signed(LINES, ALICE, header="{}").der()
    enveloped = handmade.Enveloped(signed, [BOB.certificate], image_id=IMAGE_ID.bytes, sender=ALICE.certificate).der()
    assert opened_by_openssl(enveloped, folder) == LINES


def test_what_openssl_envelopes_lacks_the_attributes_of_the_profile(folder: Path) -> None:
    (folder / "signed.der").write_bytes(handmade.Signed(IMAGE, ALICE, header="{}").der())
    oaep = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
    made = openssl(
        "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER", "-in", "signed.der", "-out", "sealed.der",
        "-keyid", "-recip", "bob.pem", *oaep, folder=folder,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    sealed = (folder / "sealed.der").read_bytes()
    assert handmade.oaep() in sealed
    assert opened_by_openssl(sealed, folder) == IMAGE
    with pytest.raises(VerificationError) as raised:
        open_sealed(sealed, BOB)
    assert raised.value.reason.startswith("not EnvelopedContentInfo of the profile")


def test_what_openssl_signs_has_a_signing_time_that_the_profile_lacks(folder: Path) -> None:
    (folder / "content").write_bytes(LINES)
    pss = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32")
    made = openssl(
        "-sign", "-binary", "-nodetach", "-nosmimecap", "-md", "sha256", "-outform", "DER", "-in", "content",
        "-out", "signed.der", "-keyid", "-signer", "alice.pem", "-inkey", "alice.key", *pss, folder=folder,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    signed = (folder / "signed.der").read_bytes()
    assert handmade.pss() in signed
    with pytest.raises(VerificationError) as raised:
        verify_signature(signed, with_image_header=False)
    assert raised.value.reason == "the attributes are not those of the profile"


def test_openssl_does_not_know_the_other_suite(folder: Path) -> None:
    sealed = seal(BOB, cipher=Cipher.AES_128_CBC_HMAC_SHA256)
    assert opened_by_openssl(sealed, folder) is None
    assert open_sealed(sealed, BOB).image == IMAGE
