"""What a proof shows to whoever gets it, and what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from authorities import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st
from sealed_images import make_header
from vectors.world import IMAGE

from common import revocation_lists
from common.certificates import fingerprint
from common.console import Printer
from common.errors import SealcastError, VerificationError
from common.signing import detach, sign
from common.verified import Standing
from subscriber.examining import Finding, examine
from subscriber.proof_commands import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authorities import Authorities, Holder

AUTHORITIES = authorities.default()
ALICE, BOB = AUTHORITIES.member("alice"), AUTHORITIES.member("bob")
PIN = fingerprint(AUTHORITIES.root.certificate)


def signature_of(signer: Holder = ALICE, **changes: Any) -> bytes:  # noqa: ANN401 - any member of the header
    header = make_header([BOB], **changes).to_json().decode()
    return detach(sign(IMAGE, signer.key, signer.certificate, image_header=header))


def chain_of(made_by: Authorities = AUTHORITIES, crls: Sequence[x509.CertificateRevocationList] = ()) -> bytes:
    return made_by.ca_pem + revocation_lists.to_pem(crls)


def revoking(days: int, reason: x509.ReasonFlags | None = None, number: int = 2) -> x509.CertificateRevocationList:
    """Return a list by which alice was revoked so many days after the image was sent."""
    if reason is None:
        return AUTHORITIES.crl({ALICE.certificate: NOW + days * DAY}, number=number)
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(ALICE.certificate.serial_number)
        .revocation_date(NOW + days * DAY)
        .add_extension(x509.CRLReason(reason), critical=False)
        .build()
    )
    issuing = AUTHORITIES.issuing
    key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.key.public_key())
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + DAY)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(key_identifier, critical=False)
        .add_revoked_certificate(entry)
        .sign(issuing.key, hashes.SHA256())
    )


def told(finding: Finding, capsys: pytest.CaptureFixture[str], *, pin: str | None = PIN) -> tuple[Any, str | None]:
    """Return what is said of a finding in JSON, and the code of the error, if there is one."""
    code = None
    for as_json in (False, True):
        try:
            tell(finding, Printer(as_json=as_json), pin=pin, is_own=True, standing=Standing.CHANGED)
        except SealcastError as error:
            code = error.code
    *lines, line = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert f"{said['words']}, which you have not verified, and others of this user you have" in "\n".join(lines)
    return said, code


def test_a_proof_says_who_has_signed_what(capsys: pytest.CaptureFixture[str]) -> None:
    finding = examine(IMAGE, signature_of(caption="two pixels"), chain_of(crls=[AUTHORITIES.crl()]), pin=PIN)
    said, code = told(finding, capsys)
    assert (said["valid"], said["pinned"], said["owner"], said["authority"], code) == (True, True, "alice", PIN, None)
    assert said["header"]["caption"] == "two pixels"
    assert said["revocations_of"] == AUTHORITIES.crl().last_update_utc.isoformat()


def test_without_a_pin_it_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    finding = examine(IMAGE, signature_of(), chain_of(), pin=None)
    said, code = told(finding, capsys, pin=None)
    assert (said["valid"], said["pinned"], code) == (False, False, "no_pin")


def test_another_authority_vouches_for_nothing() -> None:
    foreign = authorities.foreign()
    signature, chain = signature_of(foreign.member("alice")), chain_of(foreign)
    with pytest.raises(VerificationError) as error:
        examine(IMAGE, signature, chain, pin=PIN)
    assert error.value.code == "wrong_pin"
    with pytest.raises(VerificationError):
        examine(IMAGE, signature, chain_of(), pin=PIN)
    assert examine(IMAGE, signature, chain, pin=fingerprint(foreign.root.certificate)).header.owner == "alice"


@pytest.mark.parametrize(
    ("image", "signature"),
    [
        (IMAGE + b"!", signature_of()),
        (IMAGE[:-1] + bytes([IMAGE[-1] ^ 1]), signature_of()),
        (IMAGE, signature_of()[:-1] + bytes([signature_of()[-1] ^ 1])),
        (IMAGE, signature_of(sha256="ab" * 32)),
        (IMAGE, b""),
    ],
    ids=["longer", "flipped image", "flipped signature", "header of another image", "empty"],
)
def test_what_was_altered_is_no_proof(image: bytes, signature: bytes) -> None:
    with pytest.raises(VerificationError):
        examine(image, signature, chain_of(), pin=PIN)


def test_a_proof_in_somebody_elses_name_is_none() -> None:
    with pytest.raises(VerificationError, match="bob has signed this, and says that it is alice's"):
        examine(IMAGE, signature_of(BOB), chain_of(), pin=PIN)


@pytest.mark.parametrize(
    ("crl", "code"),
    [
        (revoking(-1), "revoked"),
        (revoking(1), None),
        (revoking(1, x509.ReasonFlags.key_compromise), "revoked"),
        (revoking(1, x509.ReasonFlags.superseded), None),
    ],
    ids=["before", "after", "compromised", "superseded"],
)
def test_who_was_revoked(
    crl: x509.CertificateRevocationList, code: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    # Whether the list came with the proof, or is a newer one that the device has.
    for chain, own in ((chain_of(crls=[crl]), []), (chain_of(crls=[AUTHORITIES.crl()]), [crl])):
        said, found = told(examine(IMAGE, signature_of(), chain, pin=PIN, crls=own), capsys)
        assert (said["revoked_at"] is not None, found) == (True, code)


def test_a_newer_list_of_ones_own_counts_and_one_of_nobodys_does_not() -> None:
    older = AUTHORITIES.crl(number=1)
    assert examine(IMAGE, signature_of(), chain_of(crls=[older]), pin=PIN, crls=[revoking(1)]).crl == revoking(1)
    others = authorities.foreign().crl({ALICE.certificate: NOW})
    assert examine(IMAGE, signature_of(), chain_of(crls=[others]), pin=PIN).crl is None


def test_a_forged_list_is_refused() -> None:
    forged = revocation_lists.to_pem([AUTHORITIES.crl()])
    body = forged.splitlines()
    middle = body[2][:10] + (b"A" if body[2][10:11] != b"A" else b"B") + body[2][11:]
    with pytest.raises(VerificationError):
        examine(IMAGE, signature_of(), chain_of() + b"\n".join([*body[:2], middle, *body[3:]]), pin=PIN)


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([PIN, None]))
def test_noise_is_refused(signature: bytes, chain: bytes, pin: str | None) -> None:
    for signed, vouching in ((signature, chain_of()), (signature_of(), chain)):
        with pytest.raises(VerificationError) as error:
            examine(IMAGE, signed, vouching, pin=pin)
        assert error.value.hint


def test_a_chain_of_millions_of_beginnings_is_read_at_once() -> None:
    hostile = chain_of() + b"-----BEGIN X509 CRL-----" * (1 << 18)
    assert examine(IMAGE, signature_of(), hostile, pin=PIN).crl is None
