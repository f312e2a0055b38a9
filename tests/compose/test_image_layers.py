"""No layer of the image, not even what a later one removes, holds a private key; nor do its settings and history."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

import authorities
import pytest
from system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

# Long enough for a key: libraries and their documentation write the first line alone.
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{200}")
SECRET_SETTING = re.compile(r"(PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL)[A-Z_]*=", re.IGNORECASE)
# Published keys: of the self-tests of GnuTLS, and of Python's own tests, both in the image that ours is built on.
KNOWN = re.compile(r"/libgnutls\.so[.\d]*$|usr/local/lib/python[.\d]+/test/")
SEALCAST_FOLDER = "var/lib/sealcast/"


def docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=900).stdout


@pytest.fixture(scope="module")
def image() -> str:
    """The image that SEALCAST_IMAGE names, or the one of this source."""
    name = os.environ.get("SEALCAST_IMAGE")
    if name is None:
        name = "sealcast:test"
        docker("build", "--quiet", "--tag", name, str(ROOT))
    return name


def files(image: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of every layer, as it was when the layer was made."""
    saved = folder / "image.tar"
    docker("save", "--output", str(saved), image)
    with tarfile.open(saved) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest
        for layer in json.load(manifest)[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as contents:
                for member in contents:
                    if member.isfile():
                        file = contents.extractfile(member)
                        assert file
                        yield member.name, file.read()


def test_no_layer_holds_a_key_or_a_members_file(image: str, tmp_path: Path) -> None:
    names = set()
    for name, data in files(image, tmp_path):
        names.add(name)
        assert KNOWN.search(name) or not PRIVATE_KEY.search(data), name
        assert not name.startswith(SEALCAST_FOLDER), name
    assert any(name.endswith("common/certificates.py") for name in names)


def test_neither_settings_nor_history_hold_a_secret(image: str) -> None:
    environment = json.loads(docker("inspect", "--format", "{{json .Config.Env}}", image))
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert any(setting.startswith("PATH=") for setting in environment)
    assert not [setting for setting in environment if SECRET_SETTING.search(setting)]
    assert "COPY" in history
    assert not SECRET_SETTING.search(history)


def test_a_key_that_a_later_layer_removes_is_found(image: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(authorities.default().member("alice").key_pem)
    lines = [f"FROM {image}", "USER 0", "COPY key.pem /srv/key.pem", "RUN rm /srv/key.pem", "ENV SEALCAST_PASSWORD=x"]
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    spoilt = "sealcast:spoilt-by-a-test"
    docker("build", "--quiet", "--tag", spoilt, str(tmp_path))
    try:
        assert any(name == "srv/key.pem" and PRIVATE_KEY.search(data) for name, data in files(spoilt, tmp_path))
        environment = json.loads(docker("inspect", "--format", "{{json .Config.Env}}", spoilt))
        assert [setting for setting in environment if SECRET_SETTING.search(setting)]
    finally:
        docker("rmi", "--force", spoilt)
