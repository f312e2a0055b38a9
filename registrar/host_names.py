"""The names and addresses of the broker, as its certificate has them (RFC 5280, section 4.2.1.6)."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from cryptography import x509

from common.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_HOST = 253


def host_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Return these hosts and those of this machine; raises ConfigurationError, ``invalid_host``."""
    return [_host_name(host) for host in dict.fromkeys(host.lower() for host in (*hosts, *_LOCAL_HOSTS))]


def doubt(host: str, broker: x509.Certificate) -> ConfigurationError | None:
    """Return why others cannot reach the broker by this name, if so; raises ConfigurationError, ``invalid_host``."""
    names = list(broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    others = [str(name.value) for name in names if name not in host_names([])]
    if _host_name(host.lower()) not in names:
        return ConfigurationError(
            f"nobody can join with this: the broker's certificate does not name {host}",
            hint=f"give --broker {' or '.join(others or _LOCAL_HOSTS[:1])}, or see registrar renew --host",
        )
    if host.lower() in _LOCAL_HOSTS and others:
        return ConfigurationError(
            f"nobody can join with this from another machine: it says {host}",
            hint=f"give --broker {' or '.join(others)}",
        )
    return None


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if len(host) <= _LONGEST_HOST and all(_HOST_LABEL.fullmatch(label) for label in host.split(".")):
            return x509.DNSName(host)
        raise ConfigurationError(
            f"{host!r} is no host name and no IP address",
            hint="give names as in broker.example.org, without a port; other scripts as in xn--…",
            code="invalid_host",
        ) from None
