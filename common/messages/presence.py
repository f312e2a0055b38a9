"""What a device says of itself, unsigned: whether it is online (docs/protocol.md, "Presence")."""

from __future__ import annotations

ONLINE, OFFLINE = b"online", b"offline"
PRESENCE = frozenset({ONLINE, OFFLINE})
# A broker counts these down while it keeps the message (MQTT 5, section 3.3.2.3.3), so that whoever gets it later can
# tell since when; and that a device is online does not outlast a broker that has died before the device.
ONLINE_SECONDS = 900
OFFLINE_SECONDS = 90 * 24 * 3600
