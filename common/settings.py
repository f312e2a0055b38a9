"""Every limit, timeout and lifetime, in one frozen object.

Each can be set as ``SEALCAST_<NAME>`` in the environment or as ``<name>`` in the folder's settings.toml; the
environment wins. Sizes are bytes, times are seconds, lifetimes are days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from common.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS_FILE = "settings.toml"
KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
PACKET_MARGIN = MEBIBYTE  # for the topic and the properties of a PUBLISH


class Settings(BaseSettings):
    """The limits of docs/protocol.md ("Limits") and what each program waits for."""

    model_config = SettingsConfigDict(env_prefix="SEALCAST_", frozen=True, extra="ignore", defer_build=True)

    maximum_image_size: PositiveInt = 64 * MEBIBYTE
    # Header, certificate, attributes and a thousand recipients fit into the mebibyte on top of the image.
    maximum_sealed_size: PositiveInt = 65 * MEBIBYTE
    maximum_pixels: PositiveInt = 80_000_000
    # Of one image, in the process that decodes it. Measured: a WebP of 80 megapixels takes 3 s and 1.3 GB.
    decoding_seconds: PositiveInt = 30
    decoding_memory: PositiveInt = 2048 * MEBIBYTE
    maximum_request_size: PositiveInt = 64 * KIBIBYTE
    fetch_part_size: PositiveInt = MEBIBYTE
    maximum_direct_recipients: PositiveInt = 64

    # Each holds an image a few times over in memory.
    posts_at_once: PositiveInt = 3

    # Of one owner, in the registrar's archive.
    owner_images: PositiveInt = 100_000
    owner_bytes: PositiveInt = 100 * 1024 * MEBIBYTE
    # Days after which the registrar removes an image; 0: it keeps all.
    retention_days: NonNegativeInt = 0
    # How many announcements a second are published again to a broker that has lost them: others get their turn.
    rebuild_rate: PositiveInt = 1_000

    # A file in a watched folder is complete when it has not changed for so long; one that breaks off may go on.
    settle_seconds: PositiveFloat = 2.0
    unfinished_seconds: PositiveFloat = 60.0
    # How often a watched folder is looked through, besides what the system tells of it.
    rescan_seconds: PositiveFloat = 60.0

    # How often a reader asks for what it may have missed, besides every connection.
    catch_up_seconds: PositiveFloat = 300.0
    # A reader tries again what a full disk or a silent registrar has kept from being saved.
    retry_seconds: PositiveFloat = 15.0

    # What `subscriber run --exec` starts for one image is ended after so long.
    exec_seconds: PositiveInt = 60
    # Of the gallery, in the identity's folder: those of ten to twenty thousand photographs.
    maximum_thumbnails_size: PositiveInt = 512 * MEBIBYTE

    connect_timeout: PositiveFloat = 10.0
    reply_timeout: PositiveFloat = 30.0
    # Bytes a second: how long the broker may take to acknowledge a large image.
    slowest_upload: PositiveInt = 32 * KIBIBYTE
    reconnect_longest_wait: PositiveFloat = 30.0
    clock_tolerance: PositiveFloat = 300.0

    member_certificate_days: PositiveInt = 90
    service_certificate_days: PositiveInt = 365
    # The root outlives the issuing CAs that it signs one after the other.
    issuing_certificate_days: PositiveInt = 3650
    root_certificate_days: PositiveInt = 7300
    crl_days: PositiveInt = 30
    # Long before nextUpdate: after it the broker locks every member out (measured, 2.0.11 and 2.1.2).
    crl_reissue_days: PositiveInt = 1

    # Long enough for a reply to arrive after a lost connection.
    publisher_session_seconds: PositiveInt = 300
    subscriber_session_seconds: PositiveInt = 7 * 24 * 3600
    registrar_session_seconds: PositiveInt = 24 * 3600
    # Images that wait in memory for their announcement; past either bound the oldest is fetched again later. Both are
    # below what the broker keeps in flight, or it could not send the announcement itself.
    waiting_images: PositiveInt = 8
    waiting_bytes: PositiveInt = 96 * MEBIBYTE

    # Who becomes a member: whoever comes, whoever was invited, nobody any more.
    registration: Literal["open", "invitation", "closed"] = "open"
    minimum_password_length: PositiveInt = 15
    maximum_password_length: PositiveInt = 1024
    password_queue: NonNegativeInt = 32
    # Attempts to log in under one name, and of all who prove nothing but a password.
    free_login_attempts: PositiveInt = 5
    longest_login_wait: PositiveFloat = 300.0
    stranger_logins_a_second: PositiveFloat = 2.0
    request_workers: PositiveInt = 4
    request_queue: PositiveInt = 64

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the arguments, then the environment, then the folder's settings.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(home: Path) -> Settings:
    """Return the settings for the folder ``home``; raises ConfigurationError for a bad value."""

    class FolderSettings(Settings):
        model_config = SettingsConfigDict(toml_file=home / SETTINGS_FILE)

    try:
        return FolderSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"the setting {name} does not fit: {first['msg'].lower()}",
            hint=f"mend it in {home / SETTINGS_FILE} or in SEALCAST_{name.upper()}",
        ) from error
