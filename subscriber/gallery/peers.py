"""Whose program is at the other end of a connection on this machine; Linux tells, others do not (proc_pid_net(5))."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]  # IPv4 address and port

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _USER = 1, 2, 7  # columns


def user_of(client: Address, server: Address) -> int | None:
    """Return the user id of the program that is connected from ``client``, or None where nothing tells."""
    # A program may talk IPv4 over a socket of IPv6, and is in the other table then.
    for table, prefix in zip(_TABLES, ("", "::ffff:"), strict=True):
        local, remote = (_spell(prefix + host, port) for host, port in (client, server))
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if (columns[_LOCAL], columns[_REMOTE]) == (local, remote):
                return int(columns[_USER])
    return None


def _spell(host: str, port: int) -> str:
    """Return an address as the kernel prints it: words in the machine's byte order."""
    packed = ipaddress.ip_address(host).packed
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed)) + f":{port:04X}"
