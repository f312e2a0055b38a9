"""First contact and enrolment of a device (docs/protocol.md, "First contact" and "Enrolling")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from pydantic import SecretStr

from common import certificates, messages, topics
from common.certificates import Trust
from common.connection import SessionOptions, unverified_context, verified_context
from common.device import Device, anonymous_client_id
from common.enveloping import Cipher, encrypt
from common.errors import ConfigurationError, VerificationError
from common.files import reason
from common.identity import Identity, certificate_in, check_own, save_enrolment
from common.key_files import no_passphrase
from common.replies import read_reply, untrusted_registrar
from common.revocation_lists import read_crls
from common.session import Session

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from common.connection import Address
    from common.key_files import Passphrase


@dataclass(frozen=True, slots=True)
class Contact:
    """Where to enrol, and the pin: the root's fingerprint.

    With the root itself the broker is verified from the first byte on.
    """

    door: Address
    pin: str
    root: x509.Certificate | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of an enrolment: the registrar's words, and the identity."""

    message: str
    identity: Identity


def enrol(
    home: Path,
    user: str,
    password: str,
    contact: Contact,
    *,
    token: str | None = None,
    key_size: int,
    passphrase: Passphrase = no_passphrase,
    new_passphrase: bytes | None = None,
    options: SessionOptions,
    clock: Callable[[], dt.datetime],
) -> Enrolment:
    """Register ``user``, or log in on this device, and write its identity to ``home``.

    A ``token`` is that of an invitation, or a code that makes the password the user's new one. A key that is made here
    is encrypted with ``new_passphrase``, if there is one; one that is there is opened with ``passphrase``.
    Raises RefusedError with the registrar's code, VerificationError where broker or registrar are not the pinned ones.
    """
    check_place(home, user)
    root = contact.root or _read_root(contact, options, now=clock())
    device = Device.prepare(home, key_size=key_size, passphrase=passphrase, new_passphrase=new_passphrase)
    client_id = device.client_id("enrolment", fresh=True)
    with Session(contact.door, client_id, verified_context(certificates.to_pem(root)), options) as session:
        _, registrar = _read_trust(session, contact.pin, now=clock())
        request = messages.EnrolRequest(
            topic=topics.enrolment(client_id),
            sent_at=clock(),
            user=user,
            password=SecretStr(password),
            token=None if token is None else SecretStr(token),
            csr=certificates.make_csr(device.key, user),
        )
        sealed = encrypt(request.to_json(), [registrar], Cipher.AES_256_GCM)
        session.subscribe(topics.all_replies(client_id))
        reply = session.request(request.topic, sealed, operation=request.operation)
        # Anew: the certificate may be that of an issuing CA that was published meanwhile.
        trust, registrar = _read_trust(session, contact.pin, now=clock())
    result, _ = read_reply(reply.payload, request, sealed, messages.EnrolResult, trust=trust, now=clock())
    certificate = certificates.read_certificate(result.certificate.encode())
    check_own(certificate, device.key, user, trust, now=clock())
    save_enrolment(device, certificate, registrar, trust)
    return Enrolment(result.message, Identity(device, now=clock()))


def check_place(home: Path, user: str) -> None:
    """Raise ConfigurationError for what cannot be a user name, and a folder of a registrar or of another user.

    The same user may enrol again in it, and so mend it.
    """
    topics.check_user_name(user)
    # What a member's folder remembers, a registrar would take for settings of its own that nobody knows.
    if (home / "authority").is_dir():
        raise ConfigurationError(
            f"{home} is the folder of a registrar", hint="give another folder with --home", code="other_identity"
        )
    certificate = certificate_in(home)
    if certificate is not None and (owner := certificates.user_of(certificate)) != user:
        raise ConfigurationError(
            f"{home} holds the identity of {owner}",
            hint="give another folder with --home",
            code="other_identity",
        )


def read_root(path: Path) -> x509.Certificate:
    """Return the root certificate in a PEM file, the first where there are several; raises ConfigurationError."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}", hint="check --ca", code="unreadable"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{path} holds no certificate", hint="give the root certificate in PEM", code="invalid_ca"
        ) from error


def _read_root(contact: Contact, options: SessionOptions, *, now: dt.datetime) -> x509.Certificate:
    """Read trust/ca over a connection on which nothing else is sent, and compare it with the pin."""
    with Session(contact.door, anonymous_client_id(), unverified_context(), options) as session:
        session.follow(topics.TRUST_CA)
        root, _ = certificates.read_authorities(session.latest(topics.TRUST_CA), pin=contact.pin, now=now)
    return root


def _read_trust(session: Session, pin: str, *, now: dt.datetime) -> tuple[Trust, x509.Certificate]:
    session.follow(topics.TRUST_CA, topics.TRUST_CRL, topics.TRUST_REGISTRAR)
    root, issuing = certificates.read_authorities(session.latest(topics.TRUST_CA), pin=pin, now=now)
    trust = Trust(root, issuing, read_crls(session.latest(topics.TRUST_CRL), issuing=issuing, now=now))
    registrar = certificates.read_certificate(session.latest(topics.TRUST_REGISTRAR))
    try:
        certificates.check_registrar(registrar, trust, now=now)
    except VerificationError as error:
        raise untrusted_registrar(error.reason) from error
    return trust, registrar
