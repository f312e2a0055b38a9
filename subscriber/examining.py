"""What a proof that somebody hands over shows, and what not (docs/protocol.md, "Proofs")."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from common import certificates, revocation_lists, topics
from common.errors import VerificationError
from common.revocation_lists import Reason
from common.sealing import header_of
from common.signing import verify_detached
from common.verifying import verifying
from subscriber.proof import moment_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from common.messages import ImageHeader

_BEGIN_CRL, _END_CRL = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class Finding:
    """Who has signed what, under which root, and whether the signer's certificate is revoked."""

    header: ImageHeader
    signer: x509.Certificate
    root: x509.Certificate
    at: dt.datetime  # when the chain was valid
    crl: x509.CertificateRevocationList | None  # the newest at hand

    @property
    def revocation(self) -> x509.RevokedCertificate | None:
        """When and why the signer's certificate was revoked, or None where that is not known."""
        if self.crl is None:
            return None
        return self.crl.get_revoked_certificate_by_serial_number(self.signer.serial_number)

    @property
    def channel(self) -> str:
        """The channel on which the image was posted."""
        topic = topics.parse_image(self.header.topic)
        return "" if topic is None else topic.channel

    @property
    def is_signed_by_a_revoked_key(self) -> bool:
        """Tell whether it was revoked before the time that the owner says, or ever, where the key was compromised."""
        revocation = self.revocation
        if revocation is None:
            return False
        return revocation.revocation_date_utc <= self.at or _reason(revocation) == Reason.KEY_COMPROMISE.flag


@contextmanager
def _hinting() -> Iterator[None]:
    """Say what to do about what is wrong, where nothing more precise is said."""
    try:
        yield
    except VerificationError as error:
        hint = error.hint or "ask whoever gave it to you for image, signature and chain once more"
        raise VerificationError(error.reason, message=error.message, code=error.code, hint=hint) from error


@_hinting()
def examine(
    image: bytes,
    signature: bytes,
    chain: bytes,
    *,
    pin: str | None,
    crls: Iterable[x509.CertificateRevocationList] = (),
) -> Finding:
    """Return what a proof shows; without a pin the root is that in ``chain`` (PEM), whoever made it.

    ``crls`` are those of the device, which may be newer than that in the chain. Raises VerificationError.
    """
    try:
        signed = verify_detached(signature, image)
        header = header_of(signed)
    except VerificationError as error:
        message = "this is not the signature of this file: one of the two was altered, or belongs to another"
        raise VerificationError(error.reason, message=message, hint="ask for both once more") from error
    at = moment_of(header, signed.certificate)
    root, authorities = certificates.read_authorities(chain, pin=pin or _root_of(chain), now=at)
    issuing = certificates.issuer_of_member(signed.certificate, root, authorities, at=at)
    if (user := certificates.user_of(signed.certificate)) != header.owner:
        raise VerificationError(
            f"{user} has signed", message=f"{user} has signed this, and says that it is {header.owner}'s"
        )
    theirs = [crl for crl in (*crls, *_crl_in(chain)) if _is_of(crl, issuing)]
    return Finding(header, signed.certificate, root, at, max(theirs, key=revocation_lists.crl_number, default=None))


@verifying("there is no certificate authority in the chain")
def _root_of(chain: bytes) -> str:
    return certificates.fingerprint(x509.load_pem_x509_certificates(chain)[0])


@verifying("the revocation list in the chain could not be verified")
def _crl_in(chain: bytes) -> list[x509.CertificateRevocationList]:
    begin = chain.find(_BEGIN_CRL)
    end = chain.find(_END_CRL, begin)
    return [] if -1 in (begin, end) else [x509.load_pem_x509_crl(chain[begin : end + len(_END_CRL)])]


@verifying("the revocation list could not be verified")
def _is_of(crl: x509.CertificateRevocationList, issuing: x509.Certificate) -> bool:
    """Tell whether a list is this authority's, which has to have signed it; of whatever day it is."""
    if revocation_lists.crl_of(issuing, [crl]) is None:
        return False
    revocation_lists.check_crl(crl, issuing=issuing, now=crl.last_update_utc)
    return True


def _reason(revocation: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return revocation.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, ValueError):
        return None
