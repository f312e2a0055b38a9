"""The broker's names, and whether others can reach it by the one in an invitation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from authorities import NOW

from common.errors import ConfigurationError
from common.settings import Settings
from registrar.authority import BROKER
from registrar.authority_files import read_certificates
from registrar.host_names import doubt
from registrar.making import create

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

HERE = "nobody can join with this from another machine: it says {}"
UNNAMED = "nobody can join with this: the broker's certificate does not name {}"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> x509.Certificate:
    return made(tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module")
def reachable(tmp_path_factory: pytest.TempPathFactory) -> x509.Certificate:
    return made(tmp_path_factory.mktemp("reachable"), "pi.example.org", "192.0.2.7")


def made(home: Path, *hosts: str) -> x509.Certificate:
    create(home, hosts=hosts, settings=Settings(), now=NOW)
    return read_certificates(home / BROKER)[0]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "LOCALHOST"])
def test_a_local_name_is_good_where_the_broker_has_no_other(
    local: x509.Certificate, reachable: x509.Certificate, host: str
) -> None:
    assert doubt(host, local) is None
    said = doubt(host, reachable)
    assert said is not None
    assert (said.message, said.hint) == (HERE.format(host), "give --broker pi.example.org or 192.0.2.7")


@pytest.mark.parametrize("host", ["pi.example.org", "Pi.Example.org", "192.0.2.7"])
def test_a_name_that_the_certificate_does_not_have_lets_nobody_join(
    local: x509.Certificate, reachable: x509.Certificate, host: str
) -> None:
    assert doubt(host, reachable) is None
    said = doubt(host, local)
    assert said is not None
    assert (said.message, said.hint) == (UNNAMED.format(host), "give --broker localhost, or see registrar renew --host")


def test_what_is_no_name_is_refused(local: x509.Certificate) -> None:
    with pytest.raises(ConfigurationError) as raised:
        doubt("pi_example", local)
    assert raised.value.code == "invalid_host"
