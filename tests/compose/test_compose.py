"""The whole Sealcast of docker-compose.yml, on a real engine: `make test-compose`.

Builds the image, or takes the one that SEALCAST_IMAGE names. Works with `docker compose` and with docker-compose 1.29.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from hostile_member import LONGEST, SLACK, Mallory
from pictures import plain, still
from system import KEY_SIZE, PASSWORD, ROOT, clean_environment, free_ports, run, wait_until

from common.device import DEVICE_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The first start builds the image, and fetches the dependencies.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

PATIENCE = 900.0  # seconds, for one command of the engine
BUILT_HERE = "sealcast:test"
HOME = "/var/lib/sealcast/registrar"

Done = subprocess.CompletedProcess[str]


class Stack:
    """The services of docker-compose.yml under a project name and on ports of their own."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self.port, self.enrol_port = free_ports(2)
        self.image = os.environ.get("SEALCAST_IMAGE")
        self._command = [*compose_command(), "--file", str(ROOT / "docker-compose.yml"), "--profile", "members"]
        self._environment = clean_environment() | {
            "COMPOSE_PROJECT_NAME": f"sealcast-test-{secrets.token_hex(4)}",
            "SEALCAST_IMAGE": self.image or BUILT_HERE,
            "SEALCAST_PORT": str(self.port),
            "SEALCAST_ENROL_PORT": str(self.enrol_port),
            "SEALCAST_PICTURES": str(pictures),
        }

    def try_to(self, *arguments: str | Path, stdin: str = "") -> Done:
        command = [*self._command, *map(str, arguments)]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
            cwd=ROOT, env=self._environment,
        )  # fmt: skip

    def do(self, *arguments: str | Path, stdin: str = "") -> str:
        done = self.try_to(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Start what `docker-compose up -d` starts."""
        if self.image is None:
            self.do("build")
        self.do("up", "--detach", "--no-build", "registrar")

    def inside(self, service: str, *command: str) -> Done:
        return self.try_to("exec", "-T", service, *command)

    def answers(self) -> bool:
        """Whether the registrar answers a request, as its health check asks."""
        return self.inside("registrar", "python", "-m", "registrar.healthcheck").returncode == 0

    def container(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.do("ps", "--quiet", service).strip()).stdout)
        return found[0]

    @property
    def fingerprint(self) -> str:
        return self.do("exec", "-T", "registrar", "registrar", "fingerprint").strip()

    def register(self, service: str, user: str) -> None:
        self.do(
            "run", "--rm", "-T", service, "register", user, "--ca-fingerprint", self.fingerprint,
            "--password-stdin", "--key-size", KEY_SIZE, stdin=f"{PASSWORD}\n",
        )  # fmt: skip

    def register_outside(self, user: str, folder: Path) -> Path:
        """Register a user with the programs of this machine; return the folder of the identity."""
        home = folder / user
        doors = ("--broker", "localhost", "--port", str(self.port), "--enrol-port", str(self.enrol_port))
        done = run(
            "publisher", "register", user, *doors, "--ca-fingerprint", self.fingerprint, "--password-stdin",
            "--key-size", KEY_SIZE, "--home", home, stdin=f"{PASSWORD}\n",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return home

    def picture(self, name: str, *, seed: int) -> Path:
        """Put a picture where the publisher sees it."""
        picture = self.pictures / name
        picture.write_bytes(plain("image/png", still((640, 480), seed=seed)))
        picture.chmod(0o644)
        return picture

    def post(self, name: str, *, seed: int) -> str:
        """Have alice post a picture of this name; return the SHA-256 of the file."""
        picture = self.picture(name, seed=seed)
        posted = self.do("run", "--rm", "-T", "publisher", "post", f"/pictures/{name}", "--keep-metadata", "--json")
        digest = hashlib.sha256(picture.read_bytes()).hexdigest()
        event = json.loads(posted)
        assert (event["event"], event["owner"], event["sha256"]) == ("stored", "alice", digest)
        return digest

    def received(self, name: str) -> str:
        """Return the SHA-256 of what bob's inbox holds under this name from alice."""
        path = f"/var/lib/sealcast/inbox/alice/{name}"
        wait_until(lambda: self.inside("subscriber", "test", "-f", path).returncode == 0, f"{name} in bob's inbox")
        return self.inside("subscriber", "sha256sum", path).stdout.split()[0]


def docker(*arguments: str) -> Done:
    program = shutil.which("docker") or "docker-is-not-installed"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


def compose_command() -> list[str]:
    """Return how Compose is called here; fails where nothing could run the services."""
    if shutil.which("docker") is None or docker("info").returncode != 0:
        pytest.fail("no Docker engine answers; start one (these tests run with `make test-compose` only)")
    if docker("compose", "version").returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is not None:
        return ["docker-compose"]
    pytest.fail("there is neither `docker compose` nor docker-compose (these tests run with `make test-compose` only)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Sealcast with alice behind the publisher and bob behind the subscriber, who runs."""
    pictures = tmp_path_factory.mktemp("pictures")
    pictures.chmod(0o755)
    one = Stack(pictures)
    try:
        one.start()
        wait_until(one.answers, "an answer of the registrar")
        one.register("publisher", "alice")
        one.register("subscriber", "bob")
        one.do("up", "--detach", "--no-build", "subscriber")
        yield one
    finally:
        one.do("down", "--volumes", "--remove-orphans", "--timeout", "10")


def test_an_image_reaches_bob_as_alice_posted_it(stack: Stack) -> None:
    posted = stack.post("first.png", seed=1)
    assert stack.received("first.png") == posted


def test_images_go_on_arriving_after_registrar_and_broker_were_restarted(stack: Stack) -> None:
    stack.do("restart", "registrar", "broker")
    wait_until(stack.answers, "an answer of the restarted registrar")
    posted = stack.post("second.png", seed=2)
    assert stack.received("second.png") == posted


def test_the_next_up_keeps_the_certificate_authority(stack: Stack) -> None:
    before = stack.fingerprint
    stack.do("up", "--detach", "--no-build")
    assert stack.fingerprint == before
    posted = stack.post("third.png", seed=3)
    assert stack.received("third.png") == posted


def test_members_elsewhere_come_in_by_the_published_ports(stack: Stack, tmp_path: Path) -> None:
    carol = stack.register_outside("carol", tmp_path)
    picture = stack.picture("carol.png", seed=4)
    posted = run("publisher", "post", picture, "--home", carol)
    assert posted.returncode == 0, posted.stderr


def test_the_ports_are_open_on_this_machine_only(stack: Stack) -> None:
    published = stack.container("broker")["NetworkSettings"]["Ports"]
    assert {door["HostIp"] for doors in published.values() for door in doors or ()} == {"127.0.0.1"}


def test_the_broker_lets_a_revoked_member_in_no_longer(stack: Stack, tmp_path: Path) -> None:
    dave = stack.register_outside("dave", tmp_path)
    picture = stack.picture("dave.png", seed=5)
    allowed = run("publisher", "post", picture, "--home", dave)
    assert allowed.returncode == 0, allowed.stderr

    stack.do("exec", "-T", "registrar", "registrar", "revoke", "dave")

    # Until then the broker lets him in, and the registrar does not answer him.
    impatient = {"SEALCAST_REPLY_TIMEOUT": "1"}

    def locked_out() -> bool:
        refused = run("publisher", "post", picture, "--home", dave, environment=impatient)
        return "closed the connection" in refused.stderr

    wait_until(locked_out, "the broker has read the new revocation list")
    assert stack.post("after.png", seed=6)


def test_a_revoked_member_s_own_client_is_out_within_seconds(stack: Stack, tmp_path: Path) -> None:
    home = stack.register_outside("mallory", tmp_path)
    with Mallory(home, stack.port, "mallory's own") as mallory:
        wait_until(lambda: mallory.accepted, "mallory publishes")
        begin = time.monotonic()
        stack.do("exec", "-T", "registrar", "registrar", "revoke", "mallory")
        wait_until(lambda: time.monotonic() - max(mallory.accepted, begin) > LONGEST, "nothing is accepted any more")
        assert mallory.last_accepted_after(begin) < LONGEST + SLACK
        wait_until(lambda: not mallory.is_connected, "mallory is out")
        assert stack.post("without-mallory.png", seed=7)
        assert not mallory.is_connected
    log = stack.do("logs", "--no-color", "broker")
    assert "as …-registrar (p5" in log
    assert (home / DEVICE_SECRET).read_text() not in log


def test_the_health_check_fails_without_a_registrar(stack: Stack) -> None:
    check = ("run", "--rm", "-T", "--no-deps", "registrar", "python", "-m", "registrar.healthcheck")
    answered = stack.try_to(*check)
    assert answered.returncode == 0, answered.stderr
    stack.do("stop", "registrar")
    silent = stack.try_to(*check)
    stack.do("start", "registrar")
    assert silent.returncode == 1
    assert "no registrar behind it" in silent.stderr


@pytest.mark.parametrize("service", ["broker", "registrar"])
def test_the_engine_calls_it_healthy(stack: Stack, service: str) -> None:
    wait_until(lambda: stack.container(service)["State"]["Health"]["Status"] == "healthy", f"{service} is healthy")


@pytest.mark.parametrize("service", ["broker", "registrar", "subscriber"])
def test_a_service_may_do_nothing_that_it_need_not(stack: Stack, service: str) -> None:
    assert stack.inside(service, "id", "-u").stdout.strip() == "1883"
    assert stack.inside(service, "touch", "/somewhere").returncode != 0
    status = stack.inside(service, "cat", "/proc/self/status").stdout.splitlines()
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_a_service_ends_by_itself_when_asked_to(stack: Stack) -> None:
    stack.do("stop", "subscriber", "registrar", "broker")
    codes = {
        service: stack.container(service)["State"]["ExitCode"] for service in ("subscriber", "registrar", "broker")
    }
    stack.do("up", "--detach", "--no-build")
    assert codes == {"subscriber": 0, "registrar": 0, "broker": 0}


def test_the_image_holds_what_the_programs_need_and_nothing_that_built_them(stack: Stack) -> None:
    listing = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    installed = stack.inside("registrar", "python", "-c", listing).stdout.split()
    assert "sealcast" in installed
    assert not {"editables", "hatchling", "pip", "setuptools"} & set(installed)
