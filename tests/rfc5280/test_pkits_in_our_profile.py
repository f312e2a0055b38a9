"""The cases of PKITS in certificates of our own profile, each with that one deviation, read as a reader reads them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import authorities
import handmade
import pytest
from authorities import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from rfc5280 import chains
from rfc5280.chains import ALICE, GOOD, ISSUING_KEY, OTHER_KEY, ROOT_KEY, Chain, entry, extension, variant

from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")  # a warning of cryptography's

FOREIGN = authorities.foreign()
SECOND = dt.timedelta(seconds=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.101.2.1.12.2"), b"\x05\x00")
SERIAL = ALICE.certificate.serial_number
LONG_SERIAL = int.from_bytes(b"\x7f" + bytes(range(19)))  # 20 octets


def key_usage(**changes: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**({name: name in {"key_cert_sign", "crl_sign"} for name in names.split()} | changes))


def usage(*, critical: bool = True, **changes: bool) -> Chain:
    return chains.issuing(extensions={x509.KeyUsage: extension(key_usage(**changes), critical=critical)})


def constraints(*, ca: bool, path_length: int | None, critical: bool = True) -> dict[type[x509.ExtensionType], object]:
    return {x509.BasicConstraints: extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=critical)}


def name_constraints(**subtrees: list[x509.GeneralName]) -> Chain:
    value = x509.NameConstraints(**({"permitted_subtrees": None, "excluded_subtrees": None} | subtrees))
    return chains.issuing(extensions={x509.NameConstraints: extension(value, critical=True)})


def distribution_point(**changes: object) -> Chain:
    parts = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    value = x509.IssuingDistributionPoint(**(parts | changes))
    return chains.revocation_list(extension(value, critical=True))


def serial(number: int, *, revoked: int = 1) -> Chain:
    with_serial = variant(ALICE.certificate, ISSUING_KEY, serial_number=number)
    return replace(chains.revocation_list(entries=(entry(revoked),)), member=with_serial)


def negative_serial() -> Chain:
    old, new = handmade.integer(SERIAL), handmade.tlv(2, b"\xff")
    return replace(GOOD, member=chains.rewritten(ALICE.certificate, ISSUING_KEY, old, new))


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def subordinate() -> Chain:
    """Alice's certificate by an authority that the issuing one has certified."""
    key = OTHER_KEY
    below = variant(
        GOOD.issuing,
        ISSUING_KEY,
        subject_name=name("below"),
        issuer_name=GOOD.issuing.subject,
        public_key=key.public_key(),
        extensions={
            x509.SubjectKeyIdentifier: extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key())),
        },
    )
    issuer = extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()))
    leaf = variant(ALICE.certificate, key, issuer_name=below.subject, extensions={x509.AuthorityKeyIdentifier: issuer})
    return replace(GOOD, member=leaf)


VALID: dict[str, Callable[[], Chain]] = {
    "4.1.1": lambda: GOOD,
    "4.2.3": lambda: chains.member(not_valid_before=dt.datetime(1999, 1, 1, tzinfo=dt.UTC)),
    "4.2.8": lambda: chains.member(not_valid_after=dt.datetime(2050, 1, 1, tzinfo=dt.UTC)),
    "4.4.13": lambda: chains.revocation_list(next_update=dt.datetime(2050, 1, 1, tzinfo=dt.UTC)),
    "4.4.16": lambda: serial(LONG_SERIAL),
    "4.4.17": lambda: serial(LONG_SERIAL, revoked=LONG_SERIAL - 1),
    "4.14.10": chains.revocation_list,  # of all certificates and reasons: no distribution point
    "4.16.1": lambda: chains.member(extensions={x509.UnrecognizedExtension: extension(UNKNOWN)}),
}

INVALID: dict[str, tuple[Callable[[], Chain], str]] = {
    "4.1.2": (lambda: replace(GOOD, issuing=variant(GOOD.issuing, OTHER_KEY)), "InvalidSignature"),
    "4.1.3": (lambda: replace(GOOD, member=variant(ALICE.certificate, OTHER_KEY)), "signature does not match"),
    "4.1.6": (lambda: chains.member(public_key=ec.generate_private_key(ec.SECP256R1()).public_key()), "not RSA"),
    "4.2.1": (lambda: chains.issuing(not_valid_before=NOW + SECOND), "not valid at"),
    "4.2.2": (lambda: chains.member(not_valid_before=NOW + SECOND), "not valid at"),
    "4.2.5": (lambda: chains.issuing(not_valid_after=NOW - SECOND), "not valid at"),
    "4.2.6": (lambda: chains.member(not_valid_after=NOW - SECOND), "not valid at"),
    "4.2.7": (
        lambda: chains.member(
            not_valid_before=dt.datetime(1998, 1, 1, tzinfo=dt.UTC),
            not_valid_after=dt.datetime(1999, 1, 1, tzinfo=dt.UTC),
        ),
        "not valid at",
    ),
    "4.3.1": (lambda: chains.member(issuer_name=name("another authority")), "candidates exhausted"),
    "4.3.2": (lambda: chains.issuing(subject_name=name("issuing CA Sealcast")), "not signed by the issuing"),
    "4.4.3": (lambda: chains.revocation_list(entries=(entry(SERIAL),)), "was revoked"),
    "4.4.4": (lambda: chains.revocation_list(key=OTHER_KEY), "not signed by the issuing"),
    "4.4.5": (lambda: chains.revocation_list(issuer_name=name("another authority")), "not signed by the issuing"),
    "4.4.6": (
        lambda: chains.revocation_list(key=ROOT_KEY, issuer_name=GOOD.root.subject),
        "not signed by the issuing",
    ),
    "4.4.8": (lambda: chains.revocation_list(entries=(entry(1, extension(UNKNOWN, critical=True)),)), "an entry"),
    "4.4.9": (lambda: chains.revocation_list(extension(UNKNOWN, critical=True)), "a critical extension"),
    "4.4.10": (
        lambda: chains.revocation_list(extension(UNKNOWN, critical=True), entries=(entry(SERIAL),)),
        "a critical extension",
    ),
    "4.4.11": (lambda: chains.revocation_list(last_update=NOW - 2 * DAY, next_update=NOW), "revocation list's time"),
    "4.4.12": (
        lambda: chains.revocation_list(
            last_update=dt.datetime(1998, 1, 1, tzinfo=dt.UTC), next_update=dt.datetime(1999, 1, 1, tzinfo=dt.UTC)
        ),
        "revocation list's time",
    ),
    "4.4.15": (negative_serial, "negative"),
    "4.4.18": (lambda: serial(LONG_SERIAL, revoked=LONG_SERIAL), "was revoked"),
    "4.4.20": (lambda: chains.revocation_list(key=OTHER_KEY, entries=(entry(SERIAL),)), "not signed by the issuing"),
    "4.5.2": (  # an authority of the same name with another key
        lambda: replace(GOOD, member=FOREIGN.new_member("alice", key=OTHER_KEY).certificate),
        "candidates exhausted",
    ),
    "4.6.1": (lambda: chains.issuing(extensions={x509.BasicConstraints: None}), "basicConstraints"),
    "4.6.2": (lambda: chains.issuing(extensions=constraints(ca=False, path_length=None)), "basicConstraints"),
    "4.6.3": (
        lambda: chains.issuing(extensions=constraints(ca=False, path_length=None, critical=False)),
        "basicConstraints",
    ),
    "4.6.4, stricter": (
        lambda: chains.issuing(extensions=constraints(ca=True, path_length=0, critical=False)),
        "basicConstraints",
    ),
    "4.6.5": (subordinate, "candidates exhausted"),
    "4.7.1": (lambda: usage(key_cert_sign=False), "keyUsage"),
    "4.7.2": (lambda: usage(key_cert_sign=False, critical=False), "keyUsage"),
    "4.7.3, stricter": (lambda: usage(critical=False), "keyUsage"),
    "4.7.4": (lambda: usage(crl_sign=False), "keyUsage"),
    "4.7.5": (lambda: usage(crl_sign=False, critical=False), "keyUsage"),
    "4.10.7": (  # policies are not processed: where they are critical, nothing is accepted
        lambda: chains.issuing(
            extensions={x509.PolicyConstraints: extension(x509.PolicyConstraints(0, None), critical=True)}
        ),
        "2.5.29.36",
    ),
    "4.12.1": (
        lambda: chains.issuing(extensions={x509.InhibitAnyPolicy: extension(x509.InhibitAnyPolicy(0), critical=True)}),
        "2.5.29.54",
    ),
    "4.13.2": (
        lambda: name_constraints(permitted_subtrees=[x509.DirectoryName(name("somebody else"))]),
        "name",
    ),
    "4.13.35": (
        lambda: name_constraints(permitted_subtrees=[x509.UniformResourceIdentifier("example.org")]),
        "name constraint",
    ),
    "4.13.37": (
        lambda: name_constraints(excluded_subtrees=[x509.UniformResourceIdentifier("example.org")]),
        "name constraint",
    ),
    "4.14.2": (
        lambda: distribution_point(full_name=[x509.UniformResourceIdentifier("sealcast:crl")]),
        "a critical extension",
    ),
    "4.14.11": (lambda: distribution_point(only_contains_user_certs=True), "a critical extension"),
    "4.14.12": (lambda: distribution_point(only_contains_ca_certs=True), "a critical extension"),
    "4.14.14": (lambda: distribution_point(only_contains_attribute_certs=True), "a critical extension"),
    "4.14.15": (
        lambda: distribution_point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),
        "a critical extension",
    ),
    "4.14.23": (lambda: distribution_point(indirect_crl=True), "a critical extension"),
    "4.14.27": (  # an entry about another issuer's certificate
        lambda: chains.revocation_list(
            entries=(entry(1, extension(x509.CertificateIssuer([x509.DirectoryName(name("x"))]), critical=True)),)
        ),
        "an entry",
    ),
    "4.15.1": (lambda: chains.revocation_list(extension(x509.DeltaCRLIndicator(6), critical=True)), "a critical"),
    "4.16.2": (
        lambda: chains.member(extensions={x509.UnrecognizedExtension: extension(UNKNOWN, critical=True)}),
        "unaccounted-for critical extensions",
    ),
}


@pytest.mark.parametrize("number", VALID)
def test_what_pkits_calls_valid_is_admitted(number: str) -> None:
    assert VALID[number]().admit() == "alice"


@pytest.mark.parametrize("number", INVALID)
def test_what_pkits_calls_invalid_is_refused(number: str) -> None:
    make, reason = INVALID[number]
    chain = make()
    with pytest.raises(VerificationError) as caught:
        chain.admit()
    assert reason in caught.value.reason


def test_the_members_of_another_authority_are_admitted_there() -> None:
    assert Chain.of(FOREIGN).admit() == "alice"
