from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from common import certificates, profiles
from common.certificates import Trust, check_csr, check_member, check_registrar, make_csr, read_authorities
from common.errors import VerificationError
from common.revocation_lists import read_crls

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

AUTHORITIES, FOREIGN = authorities.default(), authorities.foreign()
TRUST = AUTHORITIES.trust()
ALICE = AUTHORITIES.member("alice")
KEY = ALICE.key
PIN = certificates.fingerprint(AUTHORITIES.root.certificate)
SECOND = DAY / 86_400
ALICE_URI = x509.UniformResourceIdentifier("sealcast:member:alice")
ROOT_KEY_USAGE = AUTHORITIES.root.certificate.extensions.get_extension_for_class(x509.KeyUsage)
CLIENT_AUTH, EMAIL = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION


def refuse_member(
    certificate: x509.Certificate, trust: Trust = TRUST, *, at: dt.datetime = NOW, now: dt.datetime = NOW
) -> str:
    with pytest.raises(VerificationError) as caught:
        check_member(certificate, trust, at=at, now=now)
    assert caught.value.message == "the image could not be verified"
    return caught.value.reason


def change(certificate: x509.Certificate, **replaced: x509.Extension[x509.ExtensionType] | None) -> x509.Certificate:
    """Return the certificate, signed by the issuing CA with extensions replaced, or left out, by their class names."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    extensions = {type(extension.value).__name__: extension for extension in certificate.extensions}
    for extension in (extensions | replaced).values():
        if extension is not None:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(AUTHORITIES.issuing.key, hashes.SHA256())


def extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def test_a_members_certificate_gives_its_user() -> None:
    assert check_member(ALICE.certificate, TRUST, at=NOW, now=NOW) == "alice"


def test_changing_nothing_leaves_a_valid_certificate() -> None:
    assert check_member(change(ALICE.certificate), TRUST, at=NOW, now=NOW) == "alice"


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"ExtendedKeyUsage": None}, "extendedKeyUsage"),
        ({"ExtendedKeyUsage": extension(x509.ExtendedKeyUsage([CLIENT_AUTH]))}, "extendedKeyUsage"),
        ({"ExtendedKeyUsage": extension(x509.ExtendedKeyUsage([EMAIL]))}, "EKU"),
        ({"SubjectAlternativeName": None}, "2.5.29.17"),
        (
            {
                "SubjectAlternativeName": extension(
                    x509.SubjectAlternativeName([x509.UniformResourceIdentifier("sealcast:member:bob")])
                )
            },
            "subjectAltName",
        ),
        (
            {
                "SubjectAlternativeName": extension(
                    x509.SubjectAlternativeName([ALICE_URI, x509.DNSName("alice.example")])
                )
            },
            "subjectAltName",
        ),
        (
            {
                "SubjectAlternativeName": extension(
                    x509.SubjectAlternativeName([x509.UniformResourceIdentifier("sealcast:registrar")])
                )
            },
            "subjectAltName",
        ),
        ({"SubjectKeyIdentifier": None}, "subjectKeyIdentifier"),
        ({"SubjectKeyIdentifier": extension(x509.SubjectKeyIdentifier(bytes(20)))}, "subjectKeyIdentifier"),
        ({"AuthorityKeyIdentifier": None}, "2.5.29.35"),
        ({"KeyUsage": None}, "keyUsage"),
        ({"KeyUsage": ROOT_KEY_USAGE}, "keyCertSign"),
        ({"BasicConstraints": extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)}, "cA"),
        ({"BasicConstraints": extension(x509.BasicConstraints(ca=False, path_length=None))}, "basicConstraints"),
        (
            {
                "Unknown": extension(
                    x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True
                )
            },
            "1.2.3.4",
        ),
    ],
)
def test_a_certificate_of_another_profile_is_no_members(
    replaced: dict[str, x509.Extension[x509.ExtensionType] | None], reason: str
) -> None:
    assert reason in refuse_member(change(ALICE.certificate, **replaced))


@pytest.mark.parametrize("name", ["Alice", "alice/bob", "+", "", "registrar", "a" * 33])
def test_a_name_that_no_user_can_have_is_refused(name: str) -> None:
    holder = AUTHORITIES.certify(name or "x", [x509.UniformResourceIdentifier(f"sealcast:member:{name}")], key=KEY)
    certificate = holder.certificate
    if not name:
        certificate = AUTHORITIES.certify("-", [ALICE_URI], key=KEY).certificate
    assert "not a member" in refuse_member(certificate)


def test_the_registrar_is_no_member_and_no_member_is_the_registrar() -> None:
    check_registrar(AUTHORITIES.registrar.certificate, TRUST, now=NOW)
    refuse_member(AUTHORITIES.registrar.certificate)
    pretender = AUTHORITIES.certify("registrar", [x509.UniformResourceIdentifier("sealcast:member:registrar")], key=KEY)
    for certificate in (ALICE.certificate, AUTHORITIES.broker.certificate, pretender.certificate):
        with pytest.raises(VerificationError, match="the registrar could not be verified"):
            check_registrar(certificate, TRUST, now=NOW)


def test_another_authority_of_the_same_name_is_refused() -> None:
    for certificate, trust in ((FOREIGN.member("alice").certificate, TRUST), (ALICE.certificate, FOREIGN.trust())):
        assert "candidates exhausted" in refuse_member(certificate, trust)


def test_a_certificate_by_the_root_itself_is_refused() -> None:
    direct = authorities.Authorities(AUTHORITIES.root, AUTHORITIES.root).new_member("alice", key=KEY)
    assert "issuing authority" in refuse_member(direct.certificate)


def test_a_certificate_is_valid_within_its_lifetime_only() -> None:
    certificate = ALICE.certificate
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for at in (start, end):
        assert check_member(certificate, TRUST, at=at, now=NOW) == "alice"
    for at in (start - SECOND, end + SECOND):
        assert "not valid at validation time" in refuse_member(certificate, at=at)


def test_what_was_stored_before_a_revocation_stays_valid() -> None:
    trust = AUTHORITIES.trust({ALICE.certificate: NOW})
    assert check_member(ALICE.certificate, trust, at=NOW - SECOND, now=NOW) == "alice"
    for at in (NOW, NOW + SECOND):
        assert "revoked" in refuse_member(ALICE.certificate, trust, at=at)
    bob = AUTHORITIES.member("bob").certificate
    assert check_member(bob, trust, at=NOW, now=NOW) == "bob"


def test_a_revocation_list_counts_only_while_it_is_current() -> None:
    crl = AUTHORITIES.crl(lifetime=(NOW, NOW + DAY))
    trust = Trust(TRUST.root, TRUST.issuing, (crl,))
    for now in (NOW, NOW + DAY - SECOND):
        check_member(ALICE.certificate, trust, at=NOW, now=now)
    for now in (NOW - SECOND, NOW + DAY):
        assert "revocation list" in refuse_member(ALICE.certificate, trust, at=NOW, now=now)


def test_a_revocation_list_by_another_issuer_tells_nothing() -> None:
    for crl in (FOREIGN.crl(), authorities.Authorities(AUTHORITIES.root, AUTHORITIES.root).crl()):
        trust = Trust(TRUST.root, TRUST.issuing, (crl,))
        assert "issuing authority" in refuse_member(ALICE.certificate, trust)
        with pytest.raises(VerificationError):
            read_crls(to_pem(crl), issuing=TRUST.issuing, now=NOW)


def test_a_revocation_list_is_read_unless_it_is_older_than_one_seen() -> None:
    older, newer = AUTHORITIES.crl(number=4), AUTHORITIES.crl(number=5)
    assert read_crls(to_pem(older), issuing=TRUST.issuing, now=NOW) == (older,)
    assert read_crls(to_pem(newer), issuing=TRUST.issuing, now=NOW, previous=[older]) == (newer,)
    assert read_crls(to_pem(newer), issuing=TRUST.issuing, now=NOW, previous=[newer]) == (newer,)
    with pytest.raises(VerificationError) as caught:
        read_crls(to_pem(older), issuing=TRUST.issuing, now=NOW, previous=[newer])
    assert "number 4" in caught.value.reason


@pytest.mark.parametrize("lifetime", [(NOW - 2 * DAY, NOW), (NOW + SECOND, NOW + DAY)])
def test_a_revocation_list_out_of_its_time_is_refused(lifetime: tuple[dt.datetime, dt.datetime]) -> None:
    with pytest.raises(VerificationError):
        read_crls(to_pem(AUTHORITIES.crl(lifetime=lifetime)), issuing=TRUST.issuing, now=NOW)


def test_a_revocation_list_needs_a_number_and_no_critical_extension() -> None:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(TRUST.issuing[0].subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(AUTHORITIES.issuing.key.public_key()), critical=False
        )
    )
    without_number = builder.sign(AUTHORITIES.issuing.key, hashes.SHA256())
    delta = builder.add_extension(x509.CRLNumber(7), critical=False).add_extension(
        x509.DeltaCRLIndicator(6), critical=True
    )
    for crl in (without_number, delta.sign(AUTHORITIES.issuing.key, hashes.SHA256())):
        with pytest.raises(VerificationError):
            read_crls(to_pem(crl), issuing=TRUST.issuing, now=NOW)


def test_the_authorities_are_read_with_their_pin() -> None:
    assert read_authorities(AUTHORITIES.ca_pem, pin=PIN, now=NOW) == (TRUST.root, TRUST.issuing)


def test_another_root_is_named_as_such() -> None:
    with pytest.raises(VerificationError) as caught:
        read_authorities(FOREIGN.ca_pem, pin=PIN, now=NOW)
    assert caught.value.code == "wrong_pin"
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nothing",
        AUTHORITIES.ca_pem[:200],
        AUTHORITIES.root.certificate_pem,
        AUTHORITIES.ca_pem + AUTHORITIES.issuing.certificate_pem,
        AUTHORITIES.root.certificate_pem + FOREIGN.issuing.certificate_pem,
        AUTHORITIES.root.certificate_pem + AUTHORITIES.root.certificate_pem,
        AUTHORITIES.root.certificate_pem + ALICE.certificate_pem,
    ],
)
def test_what_is_not_exactly_two_authorities_is_refused(pem: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        read_authorities(pem, pin=PIN, now=NOW)
    assert caught.value.code == "not_verified"


def test_authorities_out_of_their_time_are_refused() -> None:
    for now in (TRUST.root.not_valid_before_utc - SECOND, TRUST.root.not_valid_after_utc + SECOND):
        with pytest.raises(VerificationError):
            read_authorities(AUTHORITIES.ca_pem, pin=PIN, now=now)


def test_one_certificate_is_read_and_written() -> None:
    pem = certificates.to_pem(ALICE.certificate)
    assert certificates.read_certificate(pem) == ALICE.certificate
    for bad in (b"", b"\xff", pem[:-40], pem + pem):
        with pytest.raises(VerificationError):
            certificates.read_certificate(bad)


def test_a_request_gives_its_key() -> None:
    assert check_csr(make_csr(KEY, "alice")) == KEY.public_key()


def test_a_request_is_refused_when_any_bit_of_its_signature_is_wrong() -> None:
    der = bytearray(x509.load_pem_x509_csr(make_csr(KEY, "alice").encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    refuse_csr(broken)


def test_a_request_for_a_key_of_somebody_else_is_refused() -> None:
    mine = x509.load_pem_x509_csr(make_csr(KEY, "alice").encode()).public_bytes(serialization.Encoding.DER)
    other = authorities.new_key().public_key()
    swapped = mine.replace(key_bytes(KEY.public_key()), key_bytes(other))
    assert swapped != mine
    refuse_csr(x509.load_der_x509_csr(swapped).public_bytes(serialization.Encoding.PEM).decode())


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: rsa.generate_private_key(65537, 1024), id="1024 bits"),  # noqa: S505 - it is to be refused
        pytest.param(lambda: rsa.generate_private_key(3, 2048), id="exponent 3"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256R1()), id="elliptic curve"),
    ],
)
def test_a_request_with_a_key_that_may_not_be_certified_is_refused(
    key: Callable[[], CertificateIssuerPrivateKeyTypes],
) -> None:
    refuse_csr(sign_csr(key(), hashes.SHA256()))


def test_a_request_is_signed_with_sha_2() -> None:
    assert check_csr(sign_csr(KEY, hashes.SHA384()))
    refuse_csr(sign_csr(KEY, hashes.SHA3_256()))


@pytest.mark.parametrize("pem", ["", "nothing", "\udcff", make_csr(KEY, "alice")[:300], ALICE.certificate_pem.decode()])
def test_what_is_no_request_is_refused(pem: str) -> None:
    refuse_csr(pem)


def refuse_csr(pem: str) -> None:
    with pytest.raises(VerificationError) as caught:
        check_csr(pem)
    assert caught.value.code == "invalid_csr"
    assert caught.value.hint is not None


def sign_csr(key: CertificateIssuerPrivateKeyTypes, algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA3_256) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(profiles.common_name("alice"))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def key_bytes(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def to_pem(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_has_one_fingerprint_only() -> None:
    """The count of unused bits before the signature is not signed, and may be raised where the last bits are zero."""
    certificate = ALICE.certificate
    while certificate.signature[-1] & 1:
        certificate = AUTHORITIES.new_member("alice", key=KEY).certificate
    assert check_member(certificate, TRUST, at=NOW, now=NOW) == "alice"
    der = bytearray(certificate.public_bytes(serialization.Encoding.DER))
    der[-len(certificate.signature) - 1] = 1
    altered = x509.load_der_x509_certificate(bytes(der))
    assert certificates.fingerprint(altered) != certificates.fingerprint(certificate)
    refuse_member(altered)
