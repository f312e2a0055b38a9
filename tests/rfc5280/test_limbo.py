"""Cases of x509-limbo (C2SP), by their ids there, in certificates of our own profile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import authorities
import handmade
import pytest
from authorities import DAY, NOW
from cryptography import x509
from rfc5280 import chains
from rfc5280.chains import ALICE, GOOD, ISSUING_KEY, OTHER_KEY, ROOT_KEY, Chain, entry, extension, variant
from rfc5280.test_pkits_in_our_profile import key_usage

from common import certificates, revocation_lists
from common.certificates import Trust
from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN = Chain.of(authorities.foreign())
SERIAL = ALICE.certificate.serial_number
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55738.666.1"), b"")
ACCESS = x509.AuthorityInformationAccess(
    [x509.AccessDescription(x509.OID_CA_ISSUERS, x509.UniformResourceIdentifier("sealcast:ca"))]
)
EMPTY = x509.Name([])


def with_unknown(build: Callable[..., Chain]) -> Chain:
    return build(extensions={x509.UnrecognizedExtension: extension(UNKNOWN, critical=True)})


def constraints(build: Callable[..., Chain], value: x509.BasicConstraints | None, *, critical: bool = True) -> Chain:
    return build(extensions={x509.BasicConstraints: value and extension(value, critical=critical)})


def key_usages(build: Callable[..., Chain], **usages: bool) -> Chain:
    return build(extensions={x509.KeyUsage: extension(key_usage(**usages), critical=True)})


def long_serial() -> Chain:
    new = handmade.tlv(2, b"\x7f" + bytes(21))  # 22 octets: cryptography lets 21 pass
    old = handmade.integer(SERIAL)
    return replace(GOOD, member=chains.rewritten(ALICE.certificate, ISSUING_KEY, old, new))


def empty_subject() -> Chain:
    return Chain(
        GOOD.root,
        chains.issuing(subject_name=EMPTY).issuing,
        chains.revocation_list(issuer_name=EMPTY).crl,
        chains.member(issuer_name=EMPTY).member,
    )


VALID: dict[str, Callable[[], Chain]] = {
    "rfc5280::crl::certificate-not-on-crl": lambda: chains.revocation_list(entries=(entry(1), entry(2))),
    "crl::structure::crl-empty": chains.revocation_list,
    "crl::structure::crl-unknown-noncritical-extension": lambda: chains.revocation_list(extension(UNKNOWN)),
    "crl::structure::crl-duplicate-revoked-serial, of another": lambda: chains.revocation_list(
        entries=(entry(1), entry(1))
    ),
    "rfc5280::ee-aia": lambda: chains.member(extensions={x509.AuthorityInformationAccess: extension(ACCESS)}),
}
INVALID: dict[str, tuple[Callable[[], Chain], str]] = {
    "rfc5280::crl::revoked-certificate-with-crl": (
        lambda: chains.revocation_list(entries=(entry(SERIAL, date=NOW - DAY),)),
        "was revoked",
    ),
    "rfc5280::crl::crlnumber-critical": (
        lambda: chains.revocation_list(number=extension(x509.CRLNumber(7), critical=True)),
        "a critical extension",
    ),
    "crl::temporal::this-update-in-future": (
        lambda: chains.revocation_list(last_update=NOW + DAY, next_update=NOW + 2 * DAY),
        "revocation list's time",
    ),
    "crl::temporal::next-update-in-past": (
        lambda: chains.revocation_list(last_update=NOW - 60 * DAY, next_update=NOW - 30 * DAY),
        "revocation list's time",
    ),
    "crl::temporal::revocation-date-before-not-before": (
        lambda: chains.revocation_list(entries=(entry(SERIAL, date=NOW - 60 * DAY),)),
        "was revoked",
    ),
    "crl::structure::crl-duplicate-revoked-serial, of this one": (
        lambda: chains.revocation_list(entries=(entry(SERIAL), entry(SERIAL))),
        "was revoked",
    ),
    "rfc5280::unknown-critical-extension-ee": (lambda: with_unknown(chains.member), "unaccounted-for critical"),
    "rfc5280::unknown-critical-extension-intermediate": (
        lambda: with_unknown(chains.issuing),
        "unaccounted-for critical",
    ),
    "rfc5280::unknown-critical-extension-root": (lambda: with_unknown(chains.root), "unaccounted-for critical"),
    "rfc5280::chain-untrusted-root": (lambda: replace(GOOD, root=FOREIGN.root), "InvalidSignature"),
    "rfc5280::intermediate-ca-without-ca-bit": (
        lambda: constraints(chains.issuing, x509.BasicConstraints(ca=False, path_length=None)),
        "basicConstraints",
    ),
    "rfc5280::intermediate-ca-missing-basic-constraints": (
        lambda: constraints(chains.issuing, None),
        "basicConstraints",
    ),
    "rfc5280::root-missing-basic-constraints": (lambda: constraints(chains.root, None), "basicConstraints"),
    "rfc5280::root-non-critical-basic-constraints": (
        lambda: constraints(chains.root, x509.BasicConstraints(ca=True, path_length=1), critical=False),
        "basicConstraints",
    ),
    "rfc5280::root-inconsistent-ca-extensions": (lambda: key_usages(chains.root, key_cert_sign=False), "keyUsage"),
    "rfc5280::ica-ku-keycertsign": (lambda: key_usages(chains.issuing, key_cert_sign=False), "keyUsage"),
    "rfc5280::leaf-ku-keycertsign": (
        lambda: key_usages(chains.member, digital_signature=True, key_encipherment=True, crl_sign=False),
        "keyCertSign",
    ),
    "rfc5280::ee-critical-aia-invalid": (
        lambda: chains.member(extensions={x509.AuthorityInformationAccess: extension(ACCESS, critical=True)}),
        "criticality",
    ),
    "rfc5280::ee-empty-issuer": (lambda: chains.member(issuer_name=EMPTY), "non-empty Issuer"),
    "rfc5280::ca-empty-subject": (empty_subject, "non-empty"),
    "rfc5280::no-keyusage, stricter": (lambda: chains.member(extensions={x509.KeyUsage: None}), "keyUsage"),
    "rfc5280::no-basicconstraints, stricter": (lambda: constraints(chains.member, None), "basicConstraints"),
    "rfc5280::crl::issuer-no-keyusage-extension, stricter": (
        lambda: chains.issuing(extensions={x509.KeyUsage: None}),
        "keyUsage",
    ),
    "rfc5280::validity::expired-root": (
        lambda: chains.root(not_valid_after=NOW - DAY),
        "root or issuing authority is not valid at",
    ),
    "rfc5280::serial::too-long": (long_serial, "20 octets"),
}


@pytest.mark.parametrize("case", VALID)
def test_what_limbo_calls_valid_is_admitted(case: str) -> None:
    assert VALID[case]().admit() == "alice"


@pytest.mark.parametrize("case", INVALID)
def test_what_limbo_calls_invalid_is_refused(case: str) -> None:
    make, reason = INVALID[case]
    chain = make()
    with pytest.raises(VerificationError) as caught:
        chain.admit()
    assert reason in caught.value.reason


def test_a_revocation_counts_from_its_date_on() -> None:
    """Unlike crl::temporal::revocation-date-in-future: what was stored before a revocation stays valid."""
    chain = chains.revocation_list(entries=(entry(SERIAL, date=NOW + DAY),))
    assert chain.admit() == "alice"
    at = NOW + DAY
    trust = Trust(chain.root, (chain.issuing,), (chain.crl,))
    with pytest.raises(VerificationError):
        certificates.check_member(chain.member, trust, at=at, now=NOW)


def test_a_list_without_a_number_is_refused() -> None:
    """rfc5280::crl::crlnumber-missing."""
    with pytest.raises(VerificationError) as caught:
        chains.revocation_list(number=extension(UNKNOWN)).admit()
    assert "CRLNumber" in caught.value.reason


def test_a_serial_number_on_another_authoritys_list_says_nothing() -> None:
    """rfc5280::crl::certificate-serial-on-crl-different-issuer: two authorities under one root, as in a rotation."""
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(OTHER_KEY.public_key())
    other = variant(
        GOOD.issuing,
        ROOT_KEY,
        public_key=OTHER_KEY.public_key(),
        extensions={x509.SubjectKeyIdentifier: extension(key_identifier)},
    )
    other_list = authorities.Authorities(chains.AUTHORITIES.root, authorities.Holder(OTHER_KEY, other)).crl(
        {GOOD.member: NOW - DAY}
    )
    lists = revocation_lists.to_pem([GOOD.crl, other_list])
    crls = revocation_lists.read_crls(lists, issuing=(GOOD.issuing, other), now=NOW)
    trust = Trust(GOOD.root, (GOOD.issuing, other), crls)
    assert certificates.check_member(GOOD.member, trust, at=NOW, now=NOW) == "alice"
    ours = replace(trust, crls=(chains.revocation_list(entries=(entry(SERIAL),)).crl, other_list))
    with pytest.raises(VerificationError) as caught:
        certificates.check_member(GOOD.member, ours, at=NOW, now=NOW)
    assert "was revoked" in caught.value.reason
