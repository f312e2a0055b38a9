"""The key of the issuing CA was stolen: no earlier authority is trusted any more, and everybody logs in anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.test_rotation import certificate_of, issuing, rotate, wait_for
from system import CHELSEA, System, run

from common import console, keys
from common.certificates import to_pem
from common.connection import Address, verified_context
from common.errors import SessionError
from common.session import Session
from common.settings import Settings
from registrar.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path


def gets_in(system: System, folder: Path, thief: Authority) -> bool:
    """Tell whether the broker lets somebody in who has certified himself as the registrar, who may do everything."""
    key = keys.generate(2048)
    certificate = thief.sign_registrar(key.public_key(), console.now())
    (folder / "thief.pem").write_bytes(to_pem(certificate))
    (folder / "thief.key").write_bytes(keys.to_pem(key))
    context = verified_context(thief.ca_pem, folder / "thief.pem", folder / "thief.key")
    try:
        with Session(Address("localhost", system.port), "0" * 32 + "-thief", context):
            return True
    except SessionError:
        return False


def test_after_a_theft_everybody_logs_in_anew_and_goes_on(own_system: System, tmp_path: Path) -> None:
    system = own_system
    system.start()
    alice, bob = system.register("alice"), system.register("bob")
    thief = Authority.load(system.home, Settings())
    assert gets_in(system, tmp_path, thief)
    rotate(system, "--distrust-former")
    new = issuing(system)[0]
    wait_for(system, new)
    system.stop()
    system.start()
    assert not gets_in(system, tmp_path, thief)
    refused = run("publisher", "post", CHELSEA, "--home", alice)
    assert (refused.returncode, "closed the connection" in refused.stderr) == (1, True)
    for user, home in (("alice", alice), ("bob", bob)):
        assert system.try_to_register(user, home).returncode == 0
        assert certificate_of(home).issuer == new.subject
    with system.subscriber(bob) as reading:
        for to in ((), ("--to", "bob")):
            # What the broker kept her from posting goes before it.
            stored = system.post(alice, CHELSEA, *to)[-1]
            reading.wait_for("saved", image_id=stored["image_id"])
    system.stop()
