"""The certificates of registrar and broker change while both serve: nobody is disconnected, nothing is lost."""

from __future__ import annotations

import datetime as dt
import json
import socket
import ssl
from pathlib import Path

from cryptography import x509
from system import CHELSEA, System, run, wait_until

from common import certificates, console
from common.identity import REGISTRAR as KNOWN_REGISTRAR
from common.settings import Settings
from registrar import authority
from registrar.renewing import renew

DAY = dt.timedelta(days=1)


def shown(system: System) -> x509.Certificate:
    """Return the certificate that the broker shows to whoever connects."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(system.home / authority.ROOT)
    with (
        socket.create_connection(("localhost", system.enrol_port)) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


def brokers(system: System) -> list[str]:
    assert system.daemon is not None
    registrar = system.daemon.process.pid
    found = Path(f"/proc/{registrar}/task/{registrar}/children").read_text().split()
    assert found
    return found


def of_registrar(system: System) -> x509.Certificate:
    return certificates.read_certificate((system.home / authority.REGISTRAR).read_bytes())


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.DNSName)


def test_new_names_of_the_broker_without_a_restart(own_system: System) -> None:
    system = own_system
    system.start()
    alice, bob = system.register("alice"), system.register("bob")
    running, former = brokers(system), of_registrar(system)
    with system.subscriber(bob) as reader:
        renewed = run("registrar", "renew", "--host", "pictures.example.org", "--home", system.home, "--json")
        assert renewed.returncode == 0, renewed.stderr
        ends = {event["certificate"]: event["expires_at"] for event in map(json.loads, renewed.stdout.splitlines())}
        assert ends.keys() == {"registrar", "broker"}
        wait_until(lambda: "pictures.example.org" in names(shown(system)), "the broker's new certificate")
        assert shown(system).not_valid_after_utc.isoformat() == ends["broker"]
        # The same reader, on the same connection, gets what comes after.
        (stored,) = system.post(alice, CHELSEA)
        assert reader.wait_for("saved")["image_id"] == stored["image_id"]
    assert brokers(system) == running
    assert certificates.read_certificate((alice / KNOWN_REGISTRAR).read_bytes()) == of_registrar(system) != former
    # Whoever comes now trusts the new ones, and both connect again with theirs.
    system.post(system.register("carol"), CHELSEA)
    system.stop()


def test_both_are_renewed_by_the_service_itself(own_system: System) -> None:
    system = own_system
    system.start()
    alice = system.register("alice")
    running, first, now = brokers(system), shown(system), console.now()
    renew(system.home, Settings(), now - 300 * DAY)

    def is_renewed() -> bool:
        certificate = shown(system)
        return certificate != first and certificate.not_valid_after_utc > now + 300 * DAY

    wait_until(is_renewed, "the broker's renewed certificate")
    wait_until(lambda: of_registrar(system).not_valid_after_utc > now + 300 * DAY, "the registrar's")
    assert brokers(system) == running
    logged = run("registrar", "audit", "--home", system.home, "--event", "certificate-signed", "--json").stdout
    signed = {event["user"]: event["details"] for event in map(json.loads, logged.splitlines())}
    assert signed["registrar"]["certificate"] == certificates.fingerprint(of_registrar(system))
    assert signed["broker"]["certificate"] == certificates.fingerprint(shown(system))
    system.post(alice, CHELSEA)
    system.stop()


def test_what_has_expired_while_nobody_served_is_renewed_before_anybody_is_let_in(own_system: System) -> None:
    system = own_system
    system.start()
    alice = system.register("alice")
    system.stop()
    renew(system.home, Settings(), console.now() - 366 * DAY)
    assert of_registrar(system).not_valid_after_utc < console.now()
    system.start()
    system.post(alice, CHELSEA)
    system.stop()


def test_a_renewal_that_fails_ends_nothing_and_is_tried_again(own_system: System) -> None:
    system = own_system
    system.start()
    alice = system.register("alice")
    assert system.daemon is not None
    # A folder in its place: the file can be neither read nor written, by root either.
    former = system.home / authority.REGISTRAR_FORMER
    renew(system.home, Settings(), console.now() - 300 * DAY)
    former.unlink()
    former.mkdir()
    errors = system.daemon.errors
    wait_until(lambda: any("will try again" in line for line in errors), "a line in the log")
    system.post(alice, CHELSEA)
    former.rmdir()
    wait_until(lambda: of_registrar(system).not_valid_after_utc > console.now() + 300 * DAY, "a renewal")
    system.stop()
