"""A member with a client of its own making, which publishes in a loop and does not go by itself."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from system import PATIENCE

from common import topics
from common.connection import verified_context
from common.identity import AUTHORITIES, CERTIFICATE, KEY

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.reasoncodes import ReasonCode

_log = logging.getLogger(__name__)
LONGEST = 5.0  # seconds that a revoked member may go on, as was promised
SLACK = PATIENCE  # of a machine that is busy with other tests; benchmarks/ measures the promise


class Mallory:
    """Publishes on its own channel in a loop, and connects again whenever it is thrown out; a context manager."""

    def __init__(self, home: Path, port: int, client_id: str) -> None:
        self.accepted = 0.0
        self.connected_at: list[float] = []
        self._port = port
        self._ended = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
        self._client.tls_set_context(
            verified_context((home / AUTHORITIES).read_bytes(), home / CERTIFICATE, home / KEY)
        )
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.reconnect_delay_set(1, 1)
        self._topic = f"{topics.PREFIX}/images/mallory/loop/x"
        self._thread = threading.Thread(target=self._publish)

    def __enter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("localhost", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self) -> None:
        while not self._ended.wait(0.02):
            if self._client.is_connected():
                self._client.publish(self._topic, b"x", qos=1)

    def _on_connect(self, client: Client, _data: object, _flags: object, reason: ReasonCode, _more: object) -> None:
        if not reason.is_failure:
            self.connected_at.append(time.monotonic())
            client.subscribe(f"{topics.PREFIX}/images/#", qos=1)

    def _on_publish(self, _client: Client, _data: object, _packet: int, reason: ReasonCode, _more: object) -> None:
        if not reason.is_failure:
            self.accepted = time.monotonic()

    def last_accepted_after(self, begin: float) -> float:
        """Return, and log, how many seconds after ``begin`` the broker last took a message."""
        seconds = self.accepted - begin
        _log.info("the last message was accepted %.2f s after the command", seconds)
        return seconds

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected()
