"""A member's device on disk: its key, and the secret in its lasting client ids (docs/protocol.md, "Connections")."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from common import keys
from common.errors import ConfigurationError
from common.files import make_private_folder, read_private, write_private
from common.key_files import no_passphrase, read_keys
from common.pkcs8 import is_encrypted

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.key_files import Passphrase

KEY = "key.pem"
DEVICE_SECRET = "device-secret"  # noqa: S105 - a file name
_SECRET = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Device:
    """What a device has before it is enrolled: a key, and the secret that begins the ids of its lasting sessions.

    ``others`` are keys that it had before, or has made for its next certificate; they are in the same file.
    """

    home: Path
    key: rsa.RSAPrivateKey
    secret: str
    passphrase: bytes | None = field(default=None, repr=False)
    others: tuple[rsa.RSAPrivateKey, ...] = ()

    @classmethod
    def prepare(
        cls,
        home: Path,
        *,
        key_size: int,
        passphrase: Passphrase = no_passphrase,
        new_passphrase: bytes | None = None,
    ) -> Self:
        """Return the device of ``home``; key (RSA, ``key_size`` bits) and secret are made where there are none.

        A new key is encrypted with ``new_passphrase`` if there is one; one that is there is opened with ``passphrase``.
        """
        make_private_folder(home)
        if not (home / KEY).exists():
            write_private(home / KEY, keys.to_pem(keys.generate(key_size), new_passphrase))
        read_or_make_secret(home)
        return cls.load(home, passphrase if new_passphrase is None else lambda _: new_passphrase)

    @classmethod
    def load(cls, home: Path, passphrase: Passphrase = no_passphrase) -> Self:
        """Return the device of ``home``; raises ConfigurationError where it is missing, exposed or corrupt."""
        demand_device(home)
        (key, *others), used = read_keys(home / KEY, passphrase, corrupt)
        return cls(home, key, read_or_make_secret(home), used, tuple(others))

    def encrypt(self, passphrase: bytes | None) -> None:
        """Encrypt the keys with another passphrase, or with none, in place of that of today."""
        write_private(self.home / KEY, b"".join(keys.to_pem(key, passphrase) for key in (self.key, *self.others)))

    def having(self, key: rsa.RSAPrivateKey) -> Self:
        """Return the device with one more key, which is in its file as well."""
        more = replace(self, others=(*self.others, key))
        more.encrypt(self.passphrase)
        return more

    def led_by(self, public_key: object) -> Self:
        """Return the device with the key of a certificate as its key, and first in its file, if it has that key."""
        every = (self.key, *self.others)
        found = next((key for key in every if key.public_key() == public_key), self.key)
        if found is self.key:
            return self
        led = replace(self, key=found, others=tuple(key for key in every if key is not found))
        led.encrypt(self.passphrase)
        return led

    def client_id(self, role: str, *, fresh: bool = False) -> str:
        """Return the client id for ``role``; a ``fresh`` one, for one session only, tells nothing of the secret.

        Whoever receives an image sees where its owner's session waits for the reply: MQTT passes the Response Topic on.
        """
        return f"{secrets.token_hex(16) if fresh else self.secret}-{role}"


def demand_device(home: Path) -> None:
    """Raise ConfigurationError, ``no_identity``, where there is no device in ``home``."""
    if not (home / KEY).exists():
        raise ConfigurationError(
            f"there is no identity in {home}",
            hint="register first: publisher register NAME --ca-fingerprint …, or give --home",
            code="no_identity",
        )


def has_plain_key(home: Path) -> bool:
    """Tell whether there is a key in ``home`` that no passphrase protects."""
    return (home / KEY).exists() and not is_encrypted(read_private(home / KEY))


def read_or_make_secret(home: Path) -> str:
    """Return the 32 hexadecimal digits that begin the lasting client ids of a device, or a registrar, in ``home``."""
    path = home / DEVICE_SECRET
    if not path.exists():
        write_private(path, secrets.token_hex(16).encode())
    secret = read_private(path)
    if not _SECRET.fullmatch(secret):
        raise corrupt(path)
    return secret.decode()


def anonymous_client_id() -> str:
    """Return a client id for a first contact, which is no device's yet."""
    return f"{secrets.token_hex(16)}-nobody"


def corrupt(path: Path) -> ConfigurationError:
    """Return the error for a file of the device that is not what it should be."""
    return ConfigurationError(
        f"{path} is damaged",
        hint="restore it from a backup, or register again in an empty folder with --home",
        code="corrupt_key",
    )
