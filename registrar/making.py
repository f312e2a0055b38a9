"""Makes a certificate authority, and all that registrar and broker need of it (docs/protocol.md, "Trust")."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from common import certificates, keys
from common.errors import ConfigurationError
from common.files import flush_folder, make_private_folder, write_private
from registrar.authority import (
    BROKER,
    BROKER_AUTHORITIES,
    BROKER_KEY,
    ISSUING,
    ISSUING_KEY,
    REGISTRAR,
    REGISTRAR_KEY,
    ROOT,
    ROOT_KEY,
    UNFINISHED,
    Authority,
    Issuer,
    is_unfinished,
)
from registrar.certifying import sign_issuing, sign_root
from registrar.host_names import host_names

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from common.settings import Settings


def create(
    home: Path, *, hosts: Iterable[str], settings: Settings, now: dt.datetime, passphrase: bytes | None = None
) -> Authority:
    """Make an authority under ``home``, the certificates of registrar and broker, and the first CRL.

    ``hosts`` are the broker's DNS names and IP addresses; those of this machine are always added. A ``passphrase``
    encrypts all keys but the broker's, which Mosquitto reads. Raises ConfigurationError: ``already_initialised`` where
    there is an authority, ``invalid_host``, ``unwritable``.
    """
    broker_names = host_names(hosts)
    refuse_initialised(home)
    root_key, issuing_key, registrar_key, broker_key = (keys.generate(keys.AUTHORITY_SIZE) for _ in range(4))
    root = sign_root(root_key, settings, now)
    issuing = sign_issuing(1, issuing_key, root=root, root_key=root_key, settings=settings, now=now)
    authority = Authority(home, settings, root, (Issuer(issuing, issuing_key),), ())
    registrar = authority.sign_registrar(registrar_key.public_key(), now)
    authority.registrar = (registrar,)
    broker = authority.sign_broker(broker_key.public_key(), broker_names, now)

    files = {
        ROOT_KEY: keys.to_pem(root_key, passphrase),
        ROOT: certificates.to_pem(root),
        ISSUING_KEY: keys.to_pem(issuing_key, passphrase),
        ISSUING: certificates.to_pem(issuing),
        REGISTRAR_KEY: keys.to_pem(registrar_key, passphrase),
        REGISTRAR: certificates.to_pem(registrar),
        BROKER_AUTHORITIES: authority.ca_pem,
        BROKER_KEY: keys.to_pem(broker_key),
        BROKER: certificates.to_pem(broker, issuing),
    }
    with making(home):
        for name, content in files.items():
            write_private(home / name, content)
        authority.write_crls(authority.issue_crls([], int(now.timestamp()), now))
    return authority


def refuse_initialised(home: Path) -> None:
    """Raise ConfigurationError, ``already_initialised``, where there is an authority."""
    if not is_unfinished(home) and any((home / name).exists() for name in (ISSUING, REGISTRAR_KEY)):
        raise ConfigurationError(
            f"there is a certificate authority in {home} already",
            hint="name another folder with --home: every member's certificate depends on this one",
            code="already_initialised",
        )


@contextlib.contextmanager
def making(home: Path) -> Iterator[None]:
    """Make the folders of an authority that is written inside; what a crash leaves of it may be made anew."""
    refuse_initialised(home)
    for folder in (home, (home / ISSUING).parent, (home / BROKER).parent.parent, (home / BROKER).parent):
        make_private_folder(folder)
    write_private(home / UNFINISHED, b"")
    yield
    (home / UNFINISHED).unlink()
    flush_folder(home)
