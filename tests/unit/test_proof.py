"""A proof is what OpenSSL accepts of somebody's image and chain, and of nothing else."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
import uuid
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from authorities import DAY, NOW
from sealed_images import make_header
from vectors.world import IMAGE, IMAGE_ID

from common.errors import ConfigurationError, SealcastError, VerificationError
from common.signing import detach, sign
from subscriber.ledger import SAVED, Entry, Ledger
from subscriber.proof import Proof, make_proof, proof_archive, write_proof

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

AUTHORITIES = authorities.default()
ALICE = AUTHORITIES.member("alice")
LIMIT = 1 << 20


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path) as opened:
        yield opened


def saved(ledger: Ledger, folder: Path, image: bytes = IMAGE, **changes: Any) -> Entry:  # noqa: ANN401 - of the header
    """Return an image of alice's that is in the ledger, saved under a name that a shell has to be told of."""
    header = make_header([ALICE], **changes)
    path = folder / "it's two pixels.png"
    path.write_bytes(image)
    entry = Entry("alice", IMAGE_ID, "public", SAVED, NOW, path, header.sha256, header.name, header=header)
    signed = sign(IMAGE, ALICE.key, ALICE.certificate, image_header=header.to_json().decode())
    with ledger.transaction():
        ledger.add(entry, detach(signed))
    return entry


def make(ledger: Ledger, entry: Entry) -> Proof:
    return make_proof(entry, ledger, AUTHORITIES.trust(), maximum_size=LIMIT)


def accepted_by_openssl(command: str, *, folder: Path | None = None) -> bool:
    program = shutil.which("openssl")
    assert program is not None
    _, *arguments = shlex.split(command)
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def test_openssl_accepts_a_proof_and_nothing_else(ledger: Ledger, tmp_path: Path) -> None:
    proof = make(ledger, saved(ledger, tmp_path))
    signature, chain = write_proof(proof, tmp_path, with_image=False)
    command = proof.command(tmp_path)
    assert accepted_by_openssl(command)
    assert {path.stat().st_mode & 0o777 for path in (signature, chain)} == {0o600}
    for path in (proof.path, signature):
        right = path.read_bytes()
        path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        assert not accepted_by_openssl(command)
        path.write_bytes(right)
    chain.write_bytes(authorities.foreign().ca_pem)
    assert not accepted_by_openssl(command)
    chain.write_bytes(proof.chain)
    assert accepted_by_openssl(command)


@pytest.mark.parametrize("sent_at", [NOW - 2 * DAY, NOW, NOW + 300 * DAY])
def test_a_proof_holds_when_the_certificate_has_expired(ledger: Ledger, tmp_path: Path, sent_at: dt.datetime) -> None:
    # The owner's clock was wrong, or the owner lies: what counts is a time within the certificate's life.
    proof = make(ledger, saved(ledger, tmp_path, sent_at=sent_at))
    assert ALICE.certificate.not_valid_before_utc <= proof.at <= ALICE.certificate.not_valid_after_utc
    write_proof(proof, tmp_path, with_image=False)
    assert accepted_by_openssl(proof.command(tmp_path))
    too_late = int((NOW + 300 * DAY).timestamp())
    assert not accepted_by_openssl(proof.command(tmp_path).replace(str(int(proof.at.timestamp())), str(too_late)))


def test_what_is_altered_or_gone_is_not_proved(ledger: Ledger, tmp_path: Path) -> None:
    entry = saved(ledger, tmp_path, image=IMAGE + b"!")
    assert entry.path is not None
    with pytest.raises(VerificationError, match="not any more what alice has signed") as altered:
        make(ledger, entry)
    assert f"subscriber fetch {IMAGE_ID}" in str(altered.value.hint)
    entry.path.unlink()
    with pytest.raises(ConfigurationError, match="is not at"):
        make(ledger, entry)


def test_what_was_refused_or_has_no_signature_is_not_proved(ledger: Ledger, tmp_path: Path) -> None:
    refused = Entry("alice", uuid.uuid4(), "public", "expired", NOW)
    old = Entry("alice", uuid.uuid4(), "public", SAVED, NOW, tmp_path / "old.png")
    for entry in (refused, old):
        with pytest.raises(ConfigurationError) as error:
            make(ledger, entry)
        assert error.value.code == "no_proof"


def test_only_the_own_earlier_chain_is_written_over(ledger: Ledger, tmp_path: Path) -> None:
    entry = saved(ledger, tmp_path)
    proof = make(ledger, entry)
    _, chain = write_proof(proof, tmp_path, with_image=False)
    write_proof(proof, tmp_path, with_image=False)
    chain.write_bytes(AUTHORITIES.ca_pem)
    write_proof(proof, tmp_path, with_image=False)
    assert chain.read_bytes() == proof.chain
    assert b"X509 CRL" in proof.chain


@pytest.mark.parametrize("name", ["it's two pixels.png", "it's two pixels.png.p7s", "it's two pixels.png.chain.pem"])
def test_another_file_is_never_written_over(ledger: Ledger, tmp_path: Path, name: str) -> None:
    proof = make(ledger, saved(ledger, tmp_path))
    folder = tmp_path / "given away"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    for content in (None, b"mine"):
        if content is not None:
            (folder / name).unlink()
            (folder / name).write_bytes(content)
        with pytest.raises(SealcastError) as error:
            write_proof(proof, folder, with_image=True)
        assert error.value.code == "file_exists"
        assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == b"mine"
    (folder / name).unlink()
    write_proof(proof, folder, with_image=True)
    assert accepted_by_openssl(proof.command(folder))


def test_an_archive_has_all_that_the_command_in_it_needs(ledger: Ledger, tmp_path: Path) -> None:
    proof = make(ledger, saved(ledger, tmp_path))
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(proof_archive(proof))) as archive:
        archive.extractall(folder)
        assert {member.external_attr >> 16 for member in archive.infolist()} == {0o600}
    assert (folder / proof.name).read_bytes() == IMAGE
    assert proof.command() in (folder / f"{proof.name}.txt").read_text()
    assert accepted_by_openssl(proof.command(folder))


def test_what_an_archive_says_works_for_a_name_that_begins_as_an_option(ledger: Ledger, tmp_path: Path) -> None:
    proof = replace(make(ledger, saved(ledger, tmp_path)), path=tmp_path / "--chain=it's.png")
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(proof_archive(proof))) as archive:
        archive.extractall(folder)
    text = (folder / f"{proof.name}.txt").read_text()
    ours, openssl = (line for line in text.splitlines() if line.startswith("    "))
    assert shlex.split(ours)[:3] == ["subscriber", "verify-proof", f"./{proof.name}"]
    assert accepted_by_openssl(openssl, folder=folder)
