from __future__ import annotations

import datetime as dt
import errno
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from authorities import DAY, NOW

from common.errors import ConfigurationError, RefusedError
from common.topics import new_image_id
from registrar import archive as module
from registrar.archive import FolderArchive, open_archive

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from pathlib import Path

SEALED = os.urandom(100_000)


@pytest.fixture
def archive(tmp_path: Path) -> FolderArchive:
    return FolderArchive(tmp_path / "archive")


@pytest.fixture
def image_id() -> uuid.UUID:
    return new_image_id(NOW)


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]


def refused(code: str, work: Callable[[], object]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        work()
    assert caught.value.code == code
    return caught.value


class KilledError(BaseException):
    """The process ends here: nothing after it is done, but for what the test allows."""


def test_an_image_comes_back_whole_and_in_parts(archive: FolderArchive, image_id: uuid.UUID, tmp_path: Path) -> None:
    assert not archive.contains(image_id)
    archive.put(image_id, SEALED)
    assert archive.contains(image_id)
    assert archive.get(image_id) == SEALED
    assert archive.read(image_id, 0, 1000) == SEALED[:1000]
    assert archive.read(image_id, 99_990, 1000) == SEALED[99_990:]
    assert archive.read(image_id, 200_000, 1000) == b""
    assert [path.stat().st_mode & 0o777 for path in files(tmp_path)] == [0o600]
    assert FolderArchive(tmp_path / "archive").get(image_id) == SEALED


def test_an_unknown_image_is_said_so(archive: FolderArchive, image_id: uuid.UUID) -> None:
    refused("unknown_image", lambda: archive.get(image_id))
    refused("unknown_image", lambda: archive.read(image_id, 0, 1))


def test_the_same_image_may_be_put_again(archive: FolderArchive, image_id: uuid.UUID, tmp_path: Path) -> None:
    archive.put(image_id, SEALED)
    archive.put(image_id, SEALED)
    assert len(files(tmp_path)) == 1


def test_another_image_under_the_same_id_is_refused(
    archive: FolderArchive, image_id: uuid.UUID, tmp_path: Path
) -> None:
    archive.put(image_id, SEALED)
    refused("image_id_taken", lambda: archive.put(image_id, SEALED[:-1]))
    assert archive.get(image_id) == SEALED
    assert len(files(tmp_path)) == 1


def test_of_different_images_put_at_once_one_has_the_id(archive: FolderArchive, image_id: uuid.UUID) -> None:
    together = threading.Barrier(6)

    def put(number: int) -> bytes | str:
        sealed = bytes([number]) * 1000
        together.wait(60)
        try:
            archive.put(image_id, sealed)
        except RefusedError as error:
            return error.code
        return sealed

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(put, range(6)))
    assert answers.count("image_id_taken") == 5
    assert archive.get(image_id) in answers


def test_an_image_is_flushed_before_it_gets_its_name_and_the_name_after(
    archive: FolderArchive, image_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    link, fsync = os.link, os.fsync

    def note(step: str, work: Callable[..., None]) -> Callable[..., None]:
        def noted(*arguments: object) -> None:
            steps.append(step)
            work(*arguments)

        return noted

    monkeypatch.setattr(os, "link", note("link", link))
    monkeypatch.setattr(os, "fsync", note("fsync", fsync))
    archive.put(image_id, SEALED)
    assert steps == ["fsync", "link", "fsync"]


@pytest.mark.parametrize("step", ["write_new", "link"])
def test_who_is_killed_before_the_end_has_put_nothing(
    archive: FolderArchive, image_id: uuid.UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        # A killed process tidies nothing up either.
        patch.setattr(type(tmp_path), "unlink", lambda *_: None)
        patch.setattr(module if step == "write_new" else os, step, die)
        with pytest.raises(KilledError):
            archive.put(image_id, SEALED)
    assert not archive.contains(image_id)
    archive.put(image_id, SEALED)
    assert archive.get(image_id) == SEALED


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_leaves_no_part_of_an_image(
    archive: FolderArchive, image_id: uuid.UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        code = "unavailable" if number == errno.EIO else "archive_full"
        assert refused(code, lambda: archive.put(image_id, SEALED)).retry_after
    assert files(tmp_path) == []
    archive.put(image_id, SEALED)
    assert archive.get(image_id) == SEALED


def test_a_write_that_ends_half_way_leaves_no_part_of_an_image(
    archive: FolderArchive, image_id: uuid.UUID, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(SEALED) // 2, hard))
    try:
        refused("archive_full", lambda: archive.put(image_id, SEALED))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []
    archive.put(image_id, SEALED)
    assert archive.get(image_id) == SEALED


def test_what_killed_writers_left_is_swept_after_a_day(
    archive: FolderArchive, tmp_path: Path, image_id: uuid.UUID
) -> None:
    archive.put(image_id, SEALED)
    old, young = (tmp_path / "archive" / "incoming" / name for name in ("old", "young"))
    for path, age in ((old, DAY + dt.timedelta(seconds=1)), (young, DAY - dt.timedelta(seconds=1))):
        path.touch()
        os.utime(path, times=((NOW - age).timestamp(),) * 2)
    archive.sweep(NOW)
    assert not old.exists()
    assert young.exists()
    assert archive.get(image_id) == SEALED


def test_an_archive_is_a_folder_or_its_url(tmp_path: Path, image_id: uuid.UUID) -> None:
    folder = tmp_path / "an archive"
    open_archive(str(folder)).put(image_id, SEALED)
    assert open_archive(folder.as_uri()).get(image_id) == SEALED


@pytest.mark.parametrize("url", ["s3://bucket/folder", "https://example.org/", "file://elsewhere.example.org/folder"])
def test_what_is_no_archive_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_archive(url)
    assert caught.value.hint is not None


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        open_archive(str(tmp_path / "file" / "archive"))
