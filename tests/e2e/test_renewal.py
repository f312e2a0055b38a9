"""A certificate is renewed by whatever command comes next, with the commands that people type."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest
from system import CHELSEA, System, run

from common import certificates, console
from common.files import write_private
from common.identity import CERTIFICATE, Identity
from common.settings import Settings
from registrar.accounts import Accounts
from registrar.authority import Authority
from registrar.database import open_database

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

DAY = dt.timedelta(days=1)


def age(system: System, home: Path, days: float, passphrase: bytes = b"") -> x509.Certificate:
    """Let the certificate of an identity be so many days old, as the registrar would have signed it then."""
    now = console.now()
    identity = Identity.load(home, lambda _: passphrase, now=now)
    signed_at = now - days * DAY
    aged = Authority.load(system.home, Settings()).sign_member(identity.key.public_key(), identity.user, signed_at)
    engine = open_database(f"sqlite:///{system.home / 'registrar.sqlite3'}")
    try:
        Accounts(engine).add_certificate(identity.user, aged, signed_at)
    finally:
        engine.dispose()
    write_private(home / CERTIFICATE, certificates.to_pem(aged))
    return aged


def whoami(home: Path, *options: str | Path) -> str:
    return str(json.loads(run("subscriber", "whoami", "--home", home, "--json", *options).stdout)["fingerprint"])


def test_a_reader_renews_and_opens_what_was_sealed_to_the_former_certificate(system: System) -> None:
    owner, reader = system.register("renew-owner"), system.register("renew-reader")
    with system.subscriber(reader):
        pass
    former = age(system, reader, 61)
    (before,) = system.post(owner, CHELSEA, "--to", "renew-reader")
    with system.subscriber(reader) as receiving:
        assert receiving.wait_for("saved", owner="renew-owner")["image_id"] == before["image_id"]
        renewed = whoami(reader)
        assert renewed != certificates.fingerprint(former)
        (after,) = system.post(owner, CHELSEA, "--to", "renew-reader")
        assert receiving.wait_for("saved", owner="renew-owner")["image_id"] == after["image_id"]
    now = console.now()
    identity = Identity.load(reader, now=now)
    assert identity.certificate.not_valid_after_utc > now + 89 * DAY
    assert former in identity.reader.certificates
    # Not at every command, but only when it is due.
    with system.subscriber(reader):
        assert whoami(reader) == renewed


def test_an_owner_renews_beside_a_reader_in_the_same_folder(system: System) -> None:
    home = system.register("renew-both")
    with system.subscriber(home) as receiving:
        former = age(system, home, 89)
        (stored,) = system.post(home, CHELSEA, "--to", "renew-both")
        assert whoami(home) != certificates.fingerprint(former)
        assert receiving.wait_for("saved", owner="renew-both")["image_id"] == stored["image_id"]


@pytest.mark.parametrize("days", [59, 91])
def test_what_is_not_due_or_too_late(system: System, days: int) -> None:
    home = system.register(f"renew-{days}")
    aged = age(system, home, days)
    done = run("publisher", "post", CHELSEA, "--home", home)
    assert done.returncode == (0 if days == 59 else 1)
    assert whoami(home) == certificates.fingerprint(aged)
    if done.returncode:
        assert done.stderr.startswith("error: ")
        assert "\nhint: " in done.stderr
        assert "Traceback" not in done.stderr
        # To register again in the same folder is the way out.
        assert system.try_to_register("renew-91", home).returncode == 0
        system.post(home, CHELSEA)
