"""The cases of NIST's Public Key Interoperability Test Suite (PKITS) for the profile in use.

`pkits.zip` has the certificates and revocation lists of their sections, byte for byte as NIST publishes them (edition
of 2011, in the public domain: RSA-2048 and SHA-256, valid from 2010 to 2030).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification

from common.errors import VerificationError
from common.revocation_lists import read_crls

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

ARCHIVE = Path(__file__).with_name("pkits.zip")

SECTIONS = {
    "4.1 signatures": """ValidCertificatePathTest1 InvalidCASignatureTest2 InvalidEESignatureTest3
        ValidDSASignaturesTest4 ValidDSAParameterInheritanceTest5 InvalidDSASignatureTest6""",
    "4.2 validity": """InvalidCAnotBeforeDateTest1 InvalidEEnotBeforeDateTest2 Validpre2000UTCnotBeforeDateTest3
        ValidGeneralizedTimenotBeforeDateTest4 InvalidCAnotAfterDateTest5 InvalidEEnotAfterDateTest6
        Invalidpre2000UTCEEnotAfterDateTest7 ValidGeneralizedTimenotAfterDateTest8""",
    "4.3 names": """InvalidNameChainingTest1 InvalidNameChainingOrderTest2 ValidNameChainingWhitespaceTest3
        ValidNameChainingWhitespaceTest4 ValidNameChainingCapitalizationTest5 ValidNameUIDsTest6
        ValidRFC3280MandatoryAttributeTypesTest7 ValidRFC3280OptionalAttributeTypesTest8
        ValidUTF8StringEncodedNamesTest9
        ValidRolloverfromPrintableStringtoUTF8StringTest10 ValidUTF8StringCaseInsensitiveMatchTest11""",
    "4.4 revocation": """InvalidMissingCRLTest1 InvalidRevokedCATest2 InvalidRevokedEETest3 InvalidBadCRLSignatureTest4
        InvalidBadCRLIssuerNameTest5 InvalidWrongCRLTest6 ValidTwoCRLsTest7 InvalidUnknownCRLEntryExtensionTest8
        InvalidUnknownCRLExtensionTest9 InvalidUnknownCRLExtensionTest10 InvalidOldCRLnextUpdateTest11
        Invalidpre2000CRLnextUpdateTest12 ValidGeneralizedTimeCRLnextUpdateTest13 ValidNegativeSerialNumberTest14
        InvalidNegativeSerialNumberTest15 ValidLongSerialNumberTest16 ValidLongSerialNumberTest17
        InvalidLongSerialNumberTest18 ValidSeparateCertificateandCRLKeysTest19
        InvalidSeparateCertificateandCRLKeysTest20 InvalidSeparateCertificateandCRLKeysTest21""",
    "4.5 self-issued": """ValidBasicSelfIssuedOldWithNewTest1 InvalidBasicSelfIssuedOldWithNewTest2
        ValidBasicSelfIssuedNewWithOldTest3 ValidBasicSelfIssuedNewWithOldTest4 InvalidBasicSelfIssuedNewWithOldTest5
        ValidBasicSelfIssuedCRLSigningKeyTest6 InvalidBasicSelfIssuedCRLSigningKeyTest7
        InvalidBasicSelfIssuedCRLSigningKeyTest8""",
    "4.6 basic constraints": """InvalidMissingbasicConstraintsTest1 InvalidcAFalseTest2 InvalidcAFalseTest3
        ValidbasicConstraintsNotCriticalTest4 InvalidpathLenConstraintTest5 InvalidpathLenConstraintTest6
        ValidpathLenConstraintTest7 ValidpathLenConstraintTest8 InvalidpathLenConstraintTest9
        InvalidpathLenConstraintTest10 InvalidpathLenConstraintTest11 InvalidpathLenConstraintTest12
        ValidpathLenConstraintTest13 ValidpathLenConstraintTest14 ValidSelfIssuedpathLenConstraintTest15
        InvalidSelfIssuedpathLenConstraintTest16 ValidSelfIssuedpathLenConstraintTest17""",
    "4.7 key usage": """InvalidkeyUsageCriticalkeyCertSignFalseTest1 InvalidkeyUsageNotCriticalkeyCertSignFalseTest2
        ValidkeyUsageNotCriticalTest3 InvalidkeyUsageCriticalcRLSignFalseTest4
        InvalidkeyUsageNotCriticalcRLSignFalseTest5""",
    "4.13 name constraints": """ValidDNnameConstraintsTest1 InvalidDNnameConstraintsTest2 InvalidDNnameConstraintsTest3
        ValidDNnameConstraintsTest4 ValidDNnameConstraintsTest5 ValidDNnameConstraintsTest6
        InvalidDNnameConstraintsTest7 InvalidDNnameConstraintsTest8 InvalidDNnameConstraintsTest9
        InvalidDNnameConstraintsTest10 ValidDNnameConstraintsTest11 InvalidDNnameConstraintsTest12
        InvalidDNnameConstraintsTest13 ValidDNnameConstraintsTest14 InvalidDNnameConstraintsTest15
        InvalidDNnameConstraintsTest16 InvalidDNnameConstraintsTest17 ValidDNnameConstraintsTest18
        ValidDNnameConstraintsTest19 InvalidDNnameConstraintsTest20 ValidRFC822nameConstraintsTest21
        InvalidRFC822nameConstraintsTest22 ValidRFC822nameConstraintsTest23 InvalidRFC822nameConstraintsTest24
        ValidRFC822nameConstraintsTest25 InvalidRFC822nameConstraintsTest26 ValidDNandRFC822nameConstraintsTest27
        InvalidDNandRFC822nameConstraintsTest28 InvalidDNandRFC822nameConstraintsTest29 ValidDNSnameConstraintsTest30
        InvalidDNSnameConstraintsTest31 ValidDNSnameConstraintsTest32 InvalidDNSnameConstraintsTest33
        ValidURInameConstraintsTest34 InvalidURInameConstraintsTest35 ValidURInameConstraintsTest36
        InvalidURInameConstraintsTest37 InvalidDNSnameConstraintsTest38""",
    "4.14 distribution points": """ValiddistributionPointTest1 InvaliddistributionPointTest2
        InvaliddistributionPointTest3 ValiddistributionPointTest4 ValiddistributionPointTest5
        InvaliddistributionPointTest6 ValiddistributionPointTest7 InvaliddistributionPointTest8
        InvaliddistributionPointTest9 ValidNoissuingDistributionPointTest10 InvalidonlyContainsUserCertsTest11
        InvalidonlyContainsCACertsTest12 ValidonlyContainsCACertsTest13 InvalidonlyContainsAttributeCertsTest14
        InvalidonlySomeReasonsTest15 InvalidonlySomeReasonsTest16 InvalidonlySomeReasonsTest17
        ValidonlySomeReasonsTest18 ValidonlySomeReasonsTest19 InvalidonlySomeReasonsTest20 InvalidonlySomeReasonsTest21
        ValidIDPwithindirectCRLTest22 InvalidIDPwithindirectCRLTest23 ValidIDPwithindirectCRLTest24
        ValidIDPwithindirectCRLTest25 InvalidIDPwithindirectCRLTest26 InvalidcRLIssuerTest27 ValidcRLIssuerTest28
        ValidcRLIssuerTest29 ValidcRLIssuerTest30 InvalidcRLIssuerTest31 InvalidcRLIssuerTest32 ValidcRLIssuerTest33
        InvalidcRLIssuerTest34 InvalidcRLIssuerTest35""",
    "4.15 delta lists": """InvaliddeltaCRLIndicatorNoBaseTest1 ValiddeltaCRLTest2 InvaliddeltaCRLTest3
        InvaliddeltaCRLTest4 ValiddeltaCRLTest5 InvaliddeltaCRLTest6 ValiddeltaCRLTest7 ValiddeltaCRLTest8
        InvaliddeltaCRLTest9 InvaliddeltaCRLTest10""",
    "4.16 private extensions": """ValidUnknownNotCriticalCertificateExtensionTest1
        InvalidUnknownCriticalCertificateExtensionTest2""",
}


@dataclass(frozen=True)
class Case:
    """A certificate of PKITS: the section that it tests, and whether it is valid."""

    section: str
    name: str

    @property
    def number(self) -> str:
        """Its number in PKITS, such as 4.4.8."""
        found = re.search(r"Test(\d+)$", self.name)
        assert found
        return f"{self.section.split()[0]}.{found[1]}"

    @property
    def is_valid(self) -> bool:
        return self.name.startswith("Valid")


CASES = [Case(section, name) for section, names in SECTIONS.items() for name in names.split()]


@functools.cache
def files(ending: str) -> dict[str, bytes]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {Path(name).stem: archive.read(name) for name in archive.namelist() if name.endswith(ending)}


def validate(case: Case, now: dt.datetime) -> None:
    """Check the path to the case's certificate, and each certificate in it against a revocation list.

    The path is checked as common/certificates.py has it checked, but for the extensions of our own profile. Each list
    has to be one that `read_crls` takes. Raises ValueError or VerificationError.
    """
    path = _path(x509.load_der_x509_certificate(files(".crt")[f"{case.name}EE"]), now)
    for certificate, issuer in itertools.pairwise(path):
        lists = list(_acceptable_lists(issuer, now))
        if not lists:
            raise ValueError(f"no revocation list of {issuer.subject.rfc4514_string()} can be used")
        if any(crl.get_revoked_certificate_by_serial_number(certificate.serial_number) for crl in lists):
            raise ValueError("a certificate in the path was revoked")


def _path(certificate: x509.Certificate, now: dt.datetime) -> list[x509.Certificate]:
    extensions = {
        "ca_policy": verification.ExtensionPolicy.webpki_defaults_ca(),
        "ee_policy": verification.ExtensionPolicy.permit_all(),
    }
    policy = verification.PolicyBuilder().store(verification.Store([_certificates()[0]])).time(now)
    verifier = policy.extension_policies(**extensions).build_client_verifier()
    try:
        return verifier.verify(certificate, _certificates()[1:]).chain
    except verification.VerificationError as error:
        raise ValueError(str(error)) from error


@functools.cache
def _certificates() -> list[x509.Certificate]:
    """Return the trust anchor, then every certificate that may issue others."""
    found = {}
    for name, der in files(".crt").items():
        if not name.endswith("EE") and name != "DSAParametersInheritedCACert":  # its key is not one that is read
            found[name] = x509.load_der_x509_certificate(der)
    return [found.pop("TrustAnchorRootCertificate"), *found.values()]


def _acceptable_lists(issuer: x509.Certificate, now: dt.datetime) -> Iterator[x509.CertificateRevocationList]:
    for pem in _lists():
        with contextlib.suppress(VerificationError):
            yield from read_crls(pem, issuing=[issuer], now=now)


@functools.cache
def _lists() -> list[bytes]:
    lists = map(x509.load_der_x509_crl, files(".crl").values())
    return [one.public_bytes(serialization.Encoding.PEM) for one in lists]
