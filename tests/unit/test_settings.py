from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.errors import ConfigurationError
from common.settings import SETTINGS_FILE, Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEALCAST_{name.upper()}", raising=False)


def test_without_a_file_the_limits_are_those_of_the_protocol(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.maximum_image_size == 64 * 1024 * 1024
    assert settings.maximum_sealed_size == settings.maximum_image_size + 1024 * 1024
    assert settings.maximum_pixels == 80_000_000
    assert settings.maximum_request_size == 64 * 1024
    assert settings.maximum_direct_recipients == 64
    assert settings.clock_tolerance == 300
    assert (settings.minimum_password_length, settings.maximum_password_length) == (15, 1024)


def test_the_folder_s_file_changes_them_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SETTINGS_FILE).write_text('reply_timeout = 1.5\ncrl_days = 7\nbroker = "an option, no limit"\n')
    monkeypatch.setenv("SEALCAST_CRL_DAYS", "9")
    settings = load_settings(tmp_path)
    assert (settings.reply_timeout, settings.crl_days, settings.connect_timeout) == (1.5, 9, 10.0)
    assert load_settings(tmp_path / "elsewhere").reply_timeout == 30.0


def test_they_cannot_be_changed_later(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.crl_days = 1
    assert settings.crl_days == 30


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maximum_image_size", "'64 MiB'"),
        ("maximum_image_size", "1.5"),
        ("maximum_image_size", "[1]"),
        ("maximum_image_size", "-1"),
        ("connect_timeout", "'soon'"),
        ("connect_timeout", "0"),
        ("connect_timeout", "-1"),
        ("request_workers", "0"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_where_to_mend_it(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f"{name} = {value}\n")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path)
    assert raised.value.message.startswith(f"the setting {name} does not fit: ")
    assert raised.value.hint == f"mend it in {tmp_path / SETTINGS_FILE} or in SEALCAST_{name.upper()}"


def test_a_value_in_the_environment_that_does_not_fit_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALCAST_MAXIMUM_PIXELS", "many")
    with pytest.raises(ConfigurationError, match="the setting maximum_pixels does not fit"):
        load_settings(tmp_path)
