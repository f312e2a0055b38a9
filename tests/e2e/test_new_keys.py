"""`publisher renew`, with a new key and without, beside a subscriber that runs in the same folder."""

from __future__ import annotations

import json

from e2e.test_expired import saved
from e2e.test_renewal import whoami
from system import CHELSEA, KEY_SIZE, System, run, wait_until

NEW_KEY = ("--new-key", "--key-size", KEY_SIZE)


def test_a_device_gets_a_new_key_beside_a_running_subscriber(system: System) -> None:
    other, home = system.register("key-other"), system.register("key-one")
    before = (home / "key.pem").read_bytes()
    with system.subscriber(home, environment={"SEALCAST_RETRY_SECONDS": "0.5"}) as receiving:
        done = run("publisher", "renew", *NEW_KEY, "--home", home, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["fingerprint"] == whoami(home)
        posted = [
            system.post(other, CHELSEA, "--to", "key-one")[0]["image_id"],
            system.post(home, CHELSEA)[0]["image_id"],
        ]
        wait_until(lambda: set(posted) <= set(saved(home)), "what was posted since")
        assert receiving.process.poll() is None
    after = (home / "key.pem").read_bytes()
    assert after != before
    assert after.endswith(before)


def test_what_came_while_the_device_was_off_is_read_after_its_key_has_changed(system: System) -> None:
    other, home = system.register("late-other"), system.register("late-one")
    (named,) = system.post(other, CHELSEA, "--to", "late-one")
    for options in ((), NEW_KEY, NEW_KEY):
        before = whoami(home)
        assert run("publisher", "renew", *options, "--home", home).returncode == 0
        assert whoami(home) != before
    with system.subscriber(home) as receiving:
        receiving.wait_for("saved", image_id=named["image_id"])
