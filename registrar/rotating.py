"""Rotates the issuing CA: the root signs another one, and the old one stays trusted beside it until its own end.

This is all that needs the root's key. A registrar that serves does the rest: it issues the new CA's revocation list,
publishes both, and only then signs with the new one (docs/protocol.md, "Rotation").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import certificates, keys
from common.errors import ConfigurationError
from common.files import write_private
from common.key_files import no_passphrase, passphrase_of
from registrar.authority import (
    BROKER_AUTHORITIES,
    ISSUING,
    ROOT,
    ROOT_KEY,
    Authority,
    Issuer,
    issuing_key_file,
    number_of,
)
from registrar.authority_files import exclusively, read_key
from registrar.certifying import sign_issuing

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.key_files import Passphrase
    from common.settings import Settings


def rotate(
    home: Path,
    settings: Settings,
    now: dt.datetime,
    *,
    root_key: Path | None = None,
    distrust_former: bool = False,
    passphrase: Passphrase = no_passphrase,
) -> Authority:
    """Put a new issuing CA before the others, without those that are over; return the authority.

    With ``distrust_former`` the others are left out too: whoever has a key of theirs certifies nobody any more, and
    every member logs in anew. ``root_key`` is the file with the root's key, where that is kept elsewhere; it has the
    same ``passphrase`` as the others, if any.

    Raises ConfigurationError: ``no_root_key``, ``wrong_root_key``, ``expired_root``, ``too_many_authorities``,
    ``unwritable``, and as ``Authority.load``.
    """
    with exclusively(home):
        authority = Authority.load(home, settings, passphrase)
        signing_key = _read_root_key(authority, root_key)
        _demand_root(authority, now)
        former = () if distrust_former else authority.issuers
        kept = [issuer for issuer in former if certificates.is_valid(issuer.certificate, now)]
        _demand_place(kept)
        number, key = number_of(authority.newest.certificate) + 1, keys.generate(keys.AUTHORITY_SIZE)
        certificate = sign_issuing(number, key, root=authority.root, root_key=signing_key, settings=settings, now=now)
        issuers = (Issuer(certificate, key), *kept)
        pem = certificates.to_pem(*(issuer.certificate for issuer in issuers))
        # A passphrase of today's key is that of the next one.
        secret = passphrase_of(home / issuing_key_file(number_of(authority.newest.certificate)), passphrase)
        write_private(home / issuing_key_file(number), keys.to_pem(key, secret))
        write_private(home / BROKER_AUTHORITIES, certificates.to_pem(authority.root) + pem)
        # With this one the new CA is there; what a crash has left before it, the next try replaces.
        write_private(home / ISSUING, pem)
    return Authority(home, settings, authority.root, issuers, authority.registrar, passphrase)


def _read_root_key(authority: Authority, elsewhere: Path | None) -> rsa.RSAPrivateKey:
    path = elsewhere or authority.home / ROOT_KEY
    if not path.exists():
        raise ConfigurationError(
            f"the root's key is not in {path}",
            hint="name the file in which it is kept with --root-key",
            code="no_root_key",
        )
    # Where it is kept elsewhere, such as on a stick, the file system may know of no owners.
    key = read_key(path, authority.passphrase, private=elsewhere is None)
    if key.public_key() != authority.root.public_key():
        raise ConfigurationError(
            f"the key in {path} is not that of the root in {authority.home / ROOT}",
            hint="name the file in which that one is kept with --root-key",
            code="wrong_root_key",
        )
    return key


def _demand_root(authority: Authority, now: dt.datetime) -> None:
    if not certificates.is_valid(authority.root, now):
        raise ConfigurationError(
            f"the root was valid until {authority.root.not_valid_after_utc:%Y-%m-%d}",
            hint="check this machine's clock; after a root's end there has to be a new registrar",
            code="expired_root",
        )


def _demand_place(kept: list[Issuer]) -> None:
    if len(kept) >= certificates.MOST_ISSUING:
        end = min(issuer.certificate.not_valid_after_utc for issuer in kept)
        raise ConfigurationError(
            f"there are {len(kept)} issuing authorities already, which is as many as members take",
            hint=f"wait for the end of the first of them, on {end:%Y-%m-%d}",
            code="too_many_authorities",
        )
