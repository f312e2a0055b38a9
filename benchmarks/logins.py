"""Whether the time of a failed login tells if there is such a user: an unknown one beside one whose password is wrong.

In turns, three kinds: a known user, an unknown one, and a known one once more, which shows how far apart two medians of
the same thing lie. From publishing the request to the reply.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.attackers import sealed_guess
from benchmarks.flood import add_accounts
from benchmarks.installation import initialise, serving
from common import certificates, keys, messages, topics
from common.connection import Address, SessionOptions, verified_context
from common.device import anonymous_client_id
from common.session import Session
from common.settings import SETTINGS_FILE, load_settings
from common.signing import verify_signature
from registrar.authority import REGISTRAR, Authority
from registrar.broker import Doors
from tools.demo import free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGINS = 200
SHUFFLES, USUAL = 2_000, 0.95
KINDS = {"known user": "user-{}", "unknown user": "nobody-{}", "known user again": "user-{}"}
# Nobody is registered, and nobody has to wait.
SETTINGS = 'registration = "closed"\nfree_login_attempts = 1000000\nstranger_logins_a_second = 1000\n'


def main() -> None:
    """Print the medians, and how far apart they are."""
    with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as name, contextlib.ExitStack() as stack:
        folder, doors = Path(name), Doors("127.0.0.1", *free_ports())
        home = initialise(folder)
        add_accounts(home)
        (home / SETTINGS_FILE).write_text(SETTINGS)
        stack.enter_context(serving(folder, doors, stack.enter_context((folder / "registrar.log").open("w"))))
        root = certificates.to_pem(Authority.load(home, load_settings(home)).root)
        stranger = Stranger(Address("localhost", doors.enrol_port), root, (home / REGISTRAR).read_bytes())
        taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(LOGINS):
            for kind, user in KINDS.items():
                taken[kind].append(stranger.fail(user.format(number)))
    print(f"{LOGINS} failed logins of each kind, in turns; milliseconds")
    for kind, seconds in taken.items():
        first, median, third = (1000 * quartile for quartile in statistics.quantiles(seconds))
        print(f"{kind:18} median {median:7.2f}, half of them from {first:7.2f} to {third:7.2f}")
    known, unknown, again = taken.values()
    for what, one, other in (("unknown", known, unknown), ("known again", known, again)):
        difference = statistics.median(other) - statistics.median(one)
        print(
            f"{what} - known: {difference * 1000:+.2f}; if shuffled, 95 of 100 within ±{noise(one, other) * 1000:.2f}"
        )


class Stranger:
    """Who guesses passwords, one after the other."""

    def __init__(self, door: Address, root: bytes, registrar: bytes) -> None:
        self._door = door
        self._root = root
        self._registrar = certificates.read_certificate(registrar)
        self._csr = certificates.make_csr(keys.generate(2048), "anyone")

    def fail(self, user: str) -> float:
        """Return the seconds that a wrong password takes."""
        client_id = anonymous_client_id()
        with Session(self._door, client_id, verified_context(self._root), SessionOptions()) as session:
            session.subscribe(topics.all_replies(client_id))
            request = sealed_guess(client_id, user, self._csr, self._registrar)
            begin = time.perf_counter()
            reply = session.request(topics.enrolment(client_id), request, operation="enrol")
            seconds = time.perf_counter() - begin
        error = messages.read(messages.Reply, verify_signature(reply.payload, with_image_header=False).content).error
        if error is None or error.code != "login_failed":
            sys.exit(f"error: a login did not fail: {error.code if error else 'done'}")
        return seconds


def noise(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how far apart the medians are, but for one in twenty times, where chance says which is of which kind."""
    shuffled, chance, differences = [*one, *other], random.Random(1), []
    for _ in range(SHUFFLES):
        chance.shuffle(shuffled)
        halves = shuffled[: len(one)], shuffled[len(one) :]
        differences.append(abs(statistics.median(halves[0]) - statistics.median(halves[1])))
    return sorted(differences)[int(USUAL * SHUFFLES)]


if __name__ == "__main__":
    main()
