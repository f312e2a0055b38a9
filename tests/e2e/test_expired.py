"""A device that was off until its certificate had expired logs in again: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from e2e.test_renewal import age, whoami
from system import CHELSEA, PASSWORD, System, run, wait_until

from common import certificates, console
from common.decoding.inspection import inspect
from common.enveloping import Cipher
from common.files import write_private
from common.identity import FORMER, Identity
from common.settings import Settings
from publisher.outbox import Outbox
from publisher.post import Wishes, seal_picture, take_in

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509


# Its authority is as old as the test, so the certificate has ended only just now.
JUST_ENDED = 90 + 1 / (24 * 60)  # days
MINUTE = dt.timedelta(minutes=1)


def put_into_the_outbox(home: Path, *recipients: x509.Certificate) -> str:
    """Seal an image as it was sealed before the certificate ended, when nobody could be reached."""
    identity = Identity.load(home, now=console.now())
    sealed_at = identity.certificate.not_valid_after_utc - MINUTE
    to = tuple(map(certificates.user_of, recipients))
    wishes = Wishes(to, "public", None, keep_metadata=False, cipher=Cipher.AES_256_GCM)
    picture = take_in(CHELSEA, wishes, partial(inspect, maximum_pixels=10**6), Settings())
    posted = seal_picture(picture, wishes, recipients or [identity.registrar], identity, now=sealed_at)
    with Outbox(home) as outbox, outbox.add(posted.item, posted.sealed):
        return str(posted.header.image_id)


def saved(home: Path) -> list[str]:
    """Return the ids of what was saved, as `subscriber list` shows it."""
    shown = map(json.loads, run("subscriber", "list", "--home", home, "--json").stdout.splitlines())
    return [line["image_id"] for line in shown if line["event"] == "saved"]


def test_a_device_that_has_expired_logs_in_again_and_goes_on(system: System) -> None:
    other, home = system.register("expire-other"), system.register("expire-one")
    with system.subscriber(home) as receiving:
        (first,) = system.post(other, CHELSEA)
        receiving.wait_for("saved", image_id=first["image_id"])
    former = age(system, home, 80)
    (named,) = system.post(other, CHELSEA, "--to", "expire-one")
    age(system, home, JUST_ENDED)
    # As a renewal would have left it, one that was not the last.
    write_private(home / FORMER, certificates.to_pem(former))
    (for_all,) = system.post(other, CHELSEA)
    other_certificate = Identity.load(other, now=console.now()).certificate
    waiting = [put_into_the_outbox(home), put_into_the_outbox(home, other_certificate)]

    assert system.try_to_register("expire-one", home).returncode == 0
    flushed = run("publisher", "flush", "--home", home, "--json")
    assert flushed.returncode == 0, flushed.stderr
    assert {line["image_id"] for line in map(json.loads, flushed.stdout.splitlines())} == set(waiting)
    # The other device's images, and its own that is for every member.
    missed = {named["image_id"], for_all["image_id"], waiting[0]}
    with system.subscriber(home):
        wait_until(lambda: missed <= set(saved(home)), "what was missed")
    assert saved(home).count(first["image_id"]) == 1
    assert len(saved(home)) == len(set(saved(home)))
    with system.subscriber(other):
        wait_until(lambda: set(waiting) <= set(saved(other)), "what had waited in the outbox")


@pytest.mark.parametrize(
    "command",
    [
        ("publisher", "post", CHELSEA),
        ("publisher", "flush"),
        ("publisher", "remove", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("publisher", "whoami"),
        ("subscriber", "run"),
        ("subscriber", "fetch", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ],
    ids=lambda command: command[1],
)
def test_every_command_says_that_the_certificate_has_expired(system: System, command: tuple[str | Path, ...]) -> None:
    home = system.home_of("expire-said")
    if not home.exists():
        system.register("expire-said")
        age(system, home, JUST_ENDED)
        put_into_the_outbox(home)
    program, *arguments = command
    done = run(str(program), *arguments, "--home", home)
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: the certificate has expired: it was valid until 20")
    assert hint.startswith(
        f"hint: log in again with your password, and all goes on: publisher register expire-said --home {home}"
    )


def test_the_hint_needs_nothing_but_the_password(system: System) -> None:
    home = system.register("expire-hint")
    aged = age(system, home, JUST_ENDED)
    hint = run("publisher", "whoami", "--home", home).stderr.splitlines()[1]
    words = hint.partition("publisher register ")[2].partition(";")[0].split()
    wrong = run("publisher", "register", *words, "--password-stdin", stdin="another quiet boat at dusk\n")
    assert (wrong.returncode, whoami(home)) == (1, certificates.fingerprint(aged))
    done = run("publisher", "register", *words, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert "Connection Successful" in done.stdout
    assert run("publisher", "whoami", "--home", home).returncode == 0
    system.post(home, CHELSEA)
