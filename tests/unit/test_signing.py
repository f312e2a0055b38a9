from __future__ import annotations

import authorities
import handmade
import pytest
from authorities import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID
from sealed_images import seal

from common.enveloping import read_envelope, unwrap_key
from common.errors import VerificationError
from common.signing import detach, sign, verify_detached, verify_signature

AUTHORITIES = authorities.default()
ALICE, BOB = (AUTHORITIES.member(user) for user in ("alice", "bob"))


@pytest.mark.parametrize("content", [b"", b"content", bytes(100_000)])
@pytest.mark.parametrize("header", [None, "", '{"name":"été.png"}'])
def test_what_is_signed_verifies(content: bytes, header: str | None) -> None:
    signed = sign(content, ALICE.key, ALICE.certificate, image_header=header)
    verified = verify_signature(signed, with_image_header=header is not None)
    assert (verified.content, verified.image_header, verified.certificate) == (content, header, ALICE.certificate)


def test_a_request_is_no_image_and_an_image_no_request() -> None:
    request = sign(b"{}", ALICE.key, ALICE.certificate)
    sealed = seal(BOB)
    envelope = read_envelope(sealed)
    (identifier,) = envelope.recipient_identifiers
    image = envelope.decrypt(unwrap_key(envelope.encrypted_key_for(identifier) or b"", BOB.key))
    assert verify_signature(request, with_image_header=False).content == b"{}"
    assert verify_signature(image, with_image_header=True).image_header is not None
    for signed, with_image_header in ((request, True), (image, False)):
        with pytest.raises(VerificationError) as raised:
            verify_signature(signed, with_image_header=with_image_header)
        assert raised.value.reason == "the attributes are not those of the profile"


@pytest.mark.parametrize("header", [None, "{}"])
def test_what_was_signed_elsewhere_verifies(header: str | None) -> None:
    made = handmade.Signed(b"content", ALICE, header=header).der()
    assert verify_signature(made, with_image_header=header is not None).content == b"content"
    assert len(sign(b"content", ALICE.key, ALICE.certificate, image_header=header)) == len(made)


def test_a_detached_signature_verifies_with_the_same_bytes_only() -> None:
    signature = detach(sign(b"content", ALICE.key, ALICE.certificate, image_header="{}"))
    assert b"content" not in signature
    verified = verify_detached(signature, b"content")
    assert (verified.image_header, verified.certificate) == ("{}", ALICE.certificate)
    with pytest.raises(VerificationError) as raised:
        verify_detached(signature, b"CONTENT")
    assert raised.value.reason == "the message digest is not that of the content"


def test_detached_or_not_is_never_mistaken() -> None:
    signed = sign(b"content", ALICE.key, ALICE.certificate, image_header="{}")
    with pytest.raises(VerificationError):
        verify_detached(signed, b"content")
    with pytest.raises(VerificationError):
        verify_signature(detach(signed), with_image_header=True)
    with pytest.raises(VerificationError):
        detach(detach(signed))


def test_another_key_than_that_of_the_certificate_is_refused() -> None:
    forged = sign(b"content", BOB.key, ALICE.certificate)
    with pytest.raises(VerificationError) as raised:
        verify_signature(forged, with_image_header=False)
    assert raised.value.reason == "the signature does not hold"


def test_other_content_under_the_same_signature_is_refused() -> None:
    signed = sign(b"content", ALICE.key, ALICE.certificate)
    with pytest.raises(VerificationError) as raised:
        verify_signature(signed.replace(b"content", b"CONTENT"), with_image_header=False)
    assert raised.value.reason == "the message digest is not that of the content"


def signed_by(public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, names: x509.ExtensionType) -> bytes:
    """Return what alice has signed, with a certificate of hers inside that no authority would sign."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(ALICE.certificate.subject)
        .issuer_name(AUTHORITIES.issuing.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectKeyIdentifier(handmade.identifier_of(ALICE.certificate)), critical=False)
        .add_extension(names, critical=False)
    )
    certificate = builder.sign(AUTHORITIES.issuing.key, hashes.SHA256())
    return handmade.Signed(b"content", ALICE, certificates=[handmade.der_of(certificate)]).der()


ALICES_NAMES = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("sealcast:member:alice")])


def test_a_signer_without_an_rsa_key_is_refused() -> None:
    assert verify_signature(signed_by(ALICE.key.public_key(), ALICES_NAMES), with_image_header=False)
    with pytest.raises(VerificationError) as raised:
        verify_signature(
            signed_by(ec.generate_private_key(ec.SECP256R1()).public_key(), ALICES_NAMES), with_image_header=False
        )
    assert raised.value.reason == "the signer's key is not RSA"


def test_a_certificate_with_a_kind_of_name_that_nobody_reads_is_refused() -> None:
    x400_address = handmade.sequence(handmade.tlv(0xA3))
    names = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, x400_address)
    with pytest.raises(VerificationError):
        verify_signature(signed_by(ALICE.key.public_key(), names), with_image_header=False)


def test_a_certificate_of_an_unknown_version_is_refused() -> None:
    signed = sign(b"content", ALICE.key, ALICE.certificate)
    version_3, version_6 = bytes.fromhex("a003020102"), bytes.fromhex("a003020105")
    assert signed.count(version_3) == 1
    with pytest.raises(VerificationError) as raised:
        verify_signature(signed.replace(version_3, version_6), with_image_header=False)
    assert "version" in raised.value.reason
