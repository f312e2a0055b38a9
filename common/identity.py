"""A member's identity on disk: key, certificates and trust of one device (docs/protocol.md, "Trust").

One folder: ``key.pem`` and ``device-secret`` (0600), ``certificate.pem``, ``former.pem`` (earlier certificates of the
keys, which older images name as their recipient), ``ca.pem``, ``registrar.pem``, ``crl.pem``, and ``settings.toml``
with the broker and the pin. A publisher and a subscriber may share it and run at the same time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from cryptography import x509

from common import certificates, keys
from common.certificates import Trust
from common.device import KEY, Device, corrupt
from common.errors import ConfigurationError, VerificationError
from common.files import reason, write_private
from common.key_files import no_passphrase
from common.revocation_lists import load_crls, read_crls
from common.sealing import Reader

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.key_files import Passphrase

CERTIFICATE, FORMER = "certificate.pem", "former.pem"
AUTHORITIES, REGISTRAR, CRL = "ca.pem", "registrar.pem", "crl.pem"
EXPIRED_CODE = "certificate_expired"


class Identity:
    """An enrolled device: what it signs and reads with, and what it trusts.

    Raises ConfigurationError where a file is missing, exposed or corrupt. ``trust`` holds every issuing CA that was
    seen, and the newest revocation list of each; whoever checks a chain against one out of date fails closed.
    """

    def __init__(self, device: Device, *, now: dt.datetime) -> None:
        self.home = device.home
        try:
            self.certificate = certificates.read_certificate(_read(self.home / CERTIFICATE))
            self.registrar = certificates.read_certificate(_read(self.home / REGISTRAR))
            authorities = _read(self.home / AUTHORITIES)
            pin = certificates.fingerprint(x509.load_pem_x509_certificates(authorities)[0])
            root, issuing = certificates.read_authorities(authorities, pin=pin, now=now)
            self.trust = Trust(root, issuing, load_crls(_read(self.home / CRL)))
            self.user = certificates.user_of(self.certificate)
            _read_former(self.home)
        except (ValueError, VerificationError) as error:
            raise _corrupt(self.home) from error
        # A crash may have come between the certificate of a new key and that key's place in its file.
        self.device = device.led_by(self.certificate.public_key())
        if self.certificate.public_key() != self.key.public_key():
            raise corrupt(self.home / KEY)

    @classmethod
    def load(cls, home: Path, passphrase: Passphrase = no_passphrase, *, now: dt.datetime) -> Self:
        """Return the identity in ``home``."""
        device = Device.load(home, passphrase)
        if not (home / CERTIFICATE).exists():
            raise ConfigurationError(
                f"the identity in {home} is not enrolled yet",
                hint="register: publisher register NAME --ca-fingerprint …",
                code="no_identity",
            )
        return cls(device, now=now)

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """The key of the certificate."""
        return self.device.key

    def next_key(self, size: int) -> rsa.RSAPrivateKey:
        """Return a key of ``size`` bits for a certificate to come, one that has none yet.

        It is in the folder before a certificate is asked for, so that what a crash leaves is used the next time.
        """
        certified = [certificate.public_key() for certificate in (self.certificate, *_read_former(self.home))]
        for key in self.device.others:
            if key.public_key() not in certified and key.key_size == size:
                return key
        key = keys.generate(size)
        self.device = self.device.having(key)
        return key

    @property
    def credentials(self) -> tuple[Path, Path, bytes | None]:
        """What is shown to the broker: the files of certificate and key, and the key's passphrase if it has one."""
        return self.home / CERTIFICATE, self.home / KEY, self.device.passphrase

    def demand_current(self, now: dt.datetime) -> None:
        """Raise ConfigurationError, ``certificate_expired``, where the certificate's life is over."""
        end = self.certificate.not_valid_after_utc
        if now > end:
            raise ConfigurationError(
                f"the certificate has expired: it was valid until {end:%Y-%m-%d}",
                hint=f"log in again with your password, and all goes on: publisher register {self.user} --home "
                f"{self.home}; but if it is not {now:%Y-%m-%d}, set this device's clock",
                code=EXPIRED_CODE,
            )

    def follow_folder(self) -> bool:
        """Take over a certificate that another program has put into the folder; return whether there was one."""
        found = certificate_in(self.home)
        if found is None or found == self.certificate:
            return False
        if found.public_key() != self.key.public_key():
            device = self._device_in_folder().led_by(found.public_key())
            if device.key.public_key() != found.public_key():
                return False
            self.device = device
        self.certificate = found
        return True

    @property
    def reader(self) -> Reader:
        """The keys and every certificate they have had, to open images with.

        As they are in the folder now: the other program there may have renewed the certificate since, with a new key
        even. Only ``follow_folder`` takes that over, since the broker has to be shown it then.
        """
        current = certificates.read_certificate(_read(self.home / CERTIFICATE))
        known = dict.fromkeys((current, self.certificate, *_read_former(self.home)))
        reader = Reader(self.key, tuple(known), self.device.others)
        if reader.key_of(current) is None:
            device = self._device_in_folder()
            reader = replace(reader, other_keys=(*self.device.others, device.key, *device.others))
        return replace(reader, certificates=tuple(one for one in known if reader.key_of(one) is not None))

    def _device_in_folder(self) -> Device:
        return Device.load(self.home, lambda _: self.device.passphrase or b"")

    def accept_trust(self, authorities: bytes, crls: bytes, *, now: dt.datetime) -> None:
        """Take over the payloads of ``trust/ca`` and ``trust/crl``; raises VerificationError.

        Nothing that is known is lost to older ones: an issuing CA stays until its own end, a list until a newer comes.
        """
        root = self.trust.root
        _, offered = certificates.read_authorities(authorities, pin=certificates.fingerprint(root), now=now)
        known = (one for one in self.trust.issuing if one not in offered and certificates.is_valid(one, now))
        newest = sorted((*offered, *known), key=lambda one: one.not_valid_before_utc, reverse=True)
        issuing = tuple(newest[: certificates.MOST_ISSUING])
        trust = Trust(root, issuing, read_crls(crls, issuing=issuing, now=now, previous=self.trust.crls))
        if trust.ca_pem != self.trust.ca_pem:
            write_private(self.home / AUTHORITIES, trust.ca_pem)
        if trust.crl_pem != self.trust.crl_pem:
            write_private(self.home / CRL, trust.crl_pem)
        self.trust = trust

    def accept_registrar(self, certificate: x509.Certificate, *, now: dt.datetime) -> None:
        """Keep the registrar's certificate; raises VerificationError unless it is one."""
        certificates.check_registrar(certificate, self.trust, now=now)
        if certificate != self.registrar:
            write_private(self.home / REGISTRAR, certificates.to_pem(certificate))
            self.registrar = certificate

    def replace_certificate(self, certificate: x509.Certificate, *, now: dt.datetime) -> None:
        """Take over a renewed certificate, of the same key or a next one; the old one stays known as a former one."""
        key = next((one for one in self.device.others if one.public_key() == certificate.public_key()), self.key)
        check_own(certificate, key, self.user, self.trust, now=now)
        # The one in the folder, which the other program there may have renewed since.
        _add_former(self.home, certificate_in(self.home) or self.certificate)
        # With this one the device has its new key; which is first in its file is seen to again at each start.
        write_private(self.home / CERTIFICATE, certificates.to_pem(certificate))
        self.certificate, self.device = certificate, self.device.led_by(certificate.public_key())


def save_enrolment(device: Device, certificate: x509.Certificate, registrar: x509.Certificate, trust: Trust) -> None:
    """Complete an identity after ``enrol``; the certificate comes last, so a crash leaves it to be enrolled again."""
    earlier = certificate_in(device.home)
    if earlier is not None and earlier.public_key() == device.key.public_key():
        _add_former(device.home, earlier)
    write_private(device.home / AUTHORITIES, trust.ca_pem)
    write_private(device.home / REGISTRAR, certificates.to_pem(registrar))
    write_private(device.home / CRL, trust.crl_pem)
    write_private(device.home / CERTIFICATE, certificates.to_pem(certificate))


def trust_in(home: Path) -> Trust:
    """Return what the identity in ``home`` has pinned and seen, without its key; raises ConfigurationError."""
    try:
        root, *issuing = x509.load_pem_x509_certificates(_read(home / AUTHORITIES))
        return Trust(root, tuple(issuing), load_crls(_read(home / CRL)))
    except (ValueError, VerificationError) as error:
        raise _corrupt(home) from error


def certificate_in(home: Path) -> x509.Certificate | None:
    """Return the member's certificate in ``home``, or None where there is none; enrolling replaces a damaged one."""
    if not (home / CERTIFICATE).exists():
        return None
    try:
        certificate = certificates.read_certificate(_read(home / CERTIFICATE))
        certificates.user_of(certificate)
    except VerificationError:
        return None
    return certificate


def check_own(
    certificate: x509.Certificate, key: rsa.RSAPrivateKey, user: str, trust: Trust, *, now: dt.datetime
) -> None:
    """Raise VerificationError unless the certificate is for this key and this user."""
    if certificates.check_member(certificate, trust, at=now, now=now) != user:
        raise VerificationError("the certificate is for another user")
    if certificate.public_key() != key.public_key():
        raise VerificationError("the certificate is for another key")


def _corrupt(home: Path) -> ConfigurationError:
    return ConfigurationError(
        f"the certificates in {home} are damaged or expired",
        hint="register again in this folder: publisher register NAME --ca-fingerprint …",
        code="corrupt_identity",
    )


def _read_former(home: Path) -> list[x509.Certificate]:
    former = home / FORMER
    return x509.load_pem_x509_certificates(_read(former)) if former.exists() else []


def _add_former(home: Path, certificate: x509.Certificate) -> None:
    try:
        earlier = _read_former(home)
    except ValueError:
        earlier = []
    if certificate not in earlier:
        write_private(home / FORMER, certificates.to_pem(*earlier, certificate))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}", hint="register again in this folder", code="unreadable"
        ) from error
