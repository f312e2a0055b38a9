"""Certificate revocation lists: each issuing CA has one (docs/protocol.md, "Trust"; RFC 5280, section 5).

Pure, like certificates.py. A list belongs to the issuing CA that its authority key identifier names.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from common import keys
from common.verifying import verifying

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence


class Reason(StrEnum):
    """Why a certificate is revoked (RFC 5280, section 5.3.1); only what is on hold comes off the list again."""

    KEY_COMPROMISE = "key-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"
    PRIVILEGE_WITHDRAWN = "privilege-withdrawn"
    CERTIFICATE_HOLD = "certificate-hold"

    @property
    def flag(self) -> x509.ReasonFlags:
        """The reason code of a list's entry."""
        return x509.ReasonFlags[self.name.lower()]


# No dash within: what begins and does not end is passed over, once. It may come from a hostile broker.
_PEM = re.compile(rb"-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----")


def crl_of(
    issuing: x509.Certificate, crls: Iterable[x509.CertificateRevocationList]
) -> x509.CertificateRevocationList | None:
    """Return the list whose authority key identifier names this issuing CA's key; two CAs may have one name."""
    return next((crl for crl in crls if _authority_key(crl) == _key_of(issuing)), None)


def _authority_key(crl: x509.CertificateRevocationList) -> x509.AuthorityKeyIdentifier:
    return crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value


def _key_of(issuing: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(keys.check_public(issuing.public_key()))


def check_crl(crl: x509.CertificateRevocationList, *, issuing: x509.Certificate, now: dt.datetime) -> None:
    """Raise ValueError unless the issuing CA signed the list, it is of our profile, and it is in date."""
    if crl.issuer != issuing.subject or not crl.is_signature_valid(keys.check_public(issuing.public_key())):
        raise ValueError("the revocation list was not signed by the issuing authority")
    if not issuing.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign:  # RFC 5280, section 6.3.3 (f)
        raise ValueError("the issuing authority's key may not sign revocation lists")
    # RFC 5280, section 5.2: a list with a critical extension that one does not process says nothing about
    # the certificates that it does not name. Ours has none.
    if any(extension.critical for extension in crl.extensions):
        raise ValueError("the revocation list has a critical extension")
    if crl.next_update_utc is None or not crl.last_update_utc <= now < crl.next_update_utc:
        raise ValueError(f"{crl.last_update_utc} to {crl.next_update_utc} is the revocation list's time")


@verifying("the revocation list could not be verified")
def load_crls(pem: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the CRLs that ``pem`` holds, unchecked; raises VerificationError where there is none."""
    crls = tuple(x509.load_pem_x509_crl(one) for one in _PEM.findall(pem))
    if not crls or len({_authority_key(crl) for crl in crls}) != len(crls):
        raise ValueError("there is not one revocation list of each authority")
    return crls


@verifying("the revocation list could not be verified")
def read_crls(
    pem: bytes,
    *,
    issuing: Sequence[x509.Certificate],
    now: dt.datetime,
    previous: Sequence[x509.CertificateRevocationList] = (),
) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the latest CRL of each of these issuing CAs: the one in the payload of ``trust/crl``, else the previous.

    The payload may have lists of other authorities, which say nothing here. Raises VerificationError unless one at
    least is of these, and each of those is signed by it, current, and not of a lower number than its previous one.
    """
    offered, latest = load_crls(pem), []
    for authority in issuing:
        earlier, crl = crl_of(authority, previous), crl_of(authority, offered)
        if crl is not None:
            check_crl(crl, issuing=authority, now=now)
            # RFC 5280, section 5.3: the same goes for an entry's critical extension. Only here: 10,000 take 40 ms.
            if any(extension.critical for entry in crl for extension in entry.extensions):
                raise ValueError("an entry of the revocation list has a critical extension")
            # Not `if earlier`: a list that names nobody has the length 0.
            lowest = crl_number(earlier) if earlier is not None else 0
            if (number := crl_number(crl)) < lowest:
                raise ValueError(f"the revocation list has the number {number}, and {lowest} was seen before")
        if (newest := earlier if crl is None else crl) is not None:
            latest.append(newest)
    if not any(crl in offered for crl in latest):
        raise ValueError("no revocation list is signed by an issuing authority")
    return tuple(latest)


@verifying("the revocation list could not be verified")
def crl_number(crl: x509.CertificateRevocationList) -> int:
    """Return the number of a CRL; raises VerificationError where there is none."""
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def to_pem(crls: Iterable[x509.CertificateRevocationList]) -> bytes:
    """Return the CRLs as PEM, one after the other."""
    return b"".join(crl.public_bytes(serialization.Encoding.PEM) for crl in crls)
