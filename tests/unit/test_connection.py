"""What is said about a connection that does not come about, and what is asked of one that does."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import authorities
import pytest

from common.connection import (
    Address,
    SessionOptions,
    explain,
    session_options,
    unverified_context,
    verified_context,
)
from common.errors import ConfigurationError
from common.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

DOOR = Address("broker.example.org", 8883)


def certificate_error(verify_code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = verify_code
    return error


# the numbers: X509_V_ERR_… of OpenSSL, for a name, an address, an unknown issuer
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (certificate_error(62), "untrusted_broker", "not for broker.example.org"),
        (certificate_error(64), "untrusted_broker", "not for broker.example.org"),
        (certificate_error(20), "untrusted_broker", "another authority"),
        (ssl.SSLError(1, "wrong version number"), "no_tls", "no TLS 1.3"),
        (ssl.SSLEOFError(8, "EOF"), "no_tls", "no TLS 1.3"),
        (socket.gaierror(-2, "Name or service not known"), "unknown_host", "'broker.example.org' is not known"),
        (ValueError("Invalid host."), "unknown_host", "is not known"),
        (UnicodeError("label too long"), "unknown_host", "is not known"),
        (TimeoutError("timed out"), "broker_silent", "does not answer"),
        (ConnectionRefusedError(111, "refused"), "no_broker", "no broker answers at broker.example.org:8883"),
        (OSError(113, "No route to host"), "no_broker", "no broker answers"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_failure_has_a_code_and_a_hint(error: OSError | ValueError, code: str, words: str) -> None:
    explained = explain(error, DOOR)
    assert explained.code == code
    assert words in explained.message
    assert explained.hint


def test_a_verified_context_trusts_only_what_it_is_given() -> None:
    context = verified_context(authorities.default().ca_pem)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    trusted = {authority["serialNumber"] for authority in context.get_ca_certs()}
    ours = (authorities.default().root, authorities.default().issuing)
    assert {int(str(number), 16) for number in trusted} == {one.certificate.serial_number for one in ours}


def test_a_context_shows_the_certificate_that_it_is_given(tmp_path: Path) -> None:
    alice, mallory = authorities.default().member("alice"), authorities.default().member("mallory")
    certificate, key, other_key = tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "other.pem"
    certificate.write_bytes(alice.certificate_pem)
    key.write_bytes(alice.key_pem)
    other_key.write_bytes(mallory.key_pem)
    verified_context(authorities.default().ca_pem, certificate, key)
    with pytest.raises(ConfigurationError) as caught:
        verified_context(authorities.default().ca_pem, certificate, other_key)
    assert caught.value.code == "wrong_passphrase"


def test_the_first_contact_checks_nothing_but_speaks_tls_1_3() -> None:
    context = unverified_context()
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_options_come_from_the_settings() -> None:
    settings = Settings(connect_timeout=1, reply_timeout=2, reconnect_longest_wait=3)
    options = session_options(settings, expiry=4, receive_maximum=5, maximum_packet_size=6, manual_acknowledgement=True)
    assert options == SessionOptions(1, 2, 3, 4, 5, 6, manual_acknowledgement=True)
    assert session_options(settings) == SessionOptions(1, 2, 3)
