"""The images themselves: as thumbnails, as they are, as downloads, and with what proves whose they are."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from common.errors import ImageError, VerificationError
from common.identity import trust_in
from common.images import read_image_file
from common.topics import parse_image_id
from subscriber.gallery.protection import IMAGE_POLICY
from subscriber.proof import make_proof, proof_archive

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from subscriber.album import Album
    from subscriber.gallery.thumbnails import Thumbnails
    from subscriber.ledger import Entry

# Each holds an image in memory, and keeps a processor busy that receiving may need.
_AT_ONCE = 2
_ANY_BYTES = "application/octet-stream"


class Files:
    """Answers with what was saved, as long as it is the very file that was verified."""

    def __init__(self, home: Path, album: Album, thumbnails: Thumbnails, *, maximum_image_size: int) -> None:
        self._home = home
        self._album = album
        self._thumbnails = thumbnails
        self._maximum = maximum_image_size
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def thumbnail(self, request: Request) -> Response:
        """Answer with the image made small."""
        entry = await self._entry(request)
        # Its name is what it was made of, so that no other can come under it.
        headers = {"Content-Security-Policy": IMAGE_POLICY, "Cache-Control": "private, max-age=86400"}
        thumbnail = await run_in_threadpool(self._thumbnails.find, entry)
        if thumbnail is None:
            async with self._turns:
                # A page that scrolls on does not want any more what it has asked for.
                if await request.is_disconnected():
                    return Response(status_code=404)
                thumbnail = await run_in_threadpool(self._make_thumbnail, entry)
        return Response(thumbnail, media_type="image/webp", headers=headers)

    async def show(self, request: Request) -> Response:
        """Answer with the image, to be shown."""
        entry = await self._entry(request)
        disposition = "inline" if entry.header else "attachment"
        return await self._whole(entry, disposition)

    async def download(self, request: Request) -> Response:
        """Answer with the image, to be kept under the name that it has in the inbox."""
        entry = await self._entry(request)
        return await self._whole(entry, attachment(entry.path.name if entry.path else str(entry.image_id)))

    async def proof(self, request: Request) -> Response:
        """Answer with what proves to others who has signed the image, in one archive with it."""
        entry = await self._entry(request)
        async with self._turns:
            archive = await run_in_threadpool(self._prove, entry)
        name = f"{_path_of(entry).stem}.proof.zip"
        return Response(archive, media_type="application/zip", headers={"Content-Disposition": attachment(name)})

    async def _whole(self, entry: Entry, disposition: str) -> Response:
        async with self._turns:
            image = await run_in_threadpool(self._read, entry)
        # As its owner has signed it, and its reader has seen it; a guess could make a page of it.
        media_type = entry.header.media_type if entry.header else _ANY_BYTES
        headers = {"Content-Security-Policy": IMAGE_POLICY, "Content-Disposition": disposition}
        return Response(image, media_type=media_type, headers=headers)

    async def _entry(self, request: Request) -> Entry:
        entry = await run_in_threadpool(self._find, request.path_params["owner"], request.path_params["image_id"])
        if entry is None:
            raise ImageError("there is no such image", hint="check the image id", code="unknown_image")
        return entry

    def _find(self, owner: str, text: str) -> Entry | None:
        image_id = parse_image_id(text)
        entry = None if image_id is None else self._album.find(owner, image_id)
        if entry is None or entry.is_here:
            return entry
        self._thumbnails.forget(entry)
        return None

    def _make_thumbnail(self, entry: Entry) -> bytes:
        # Another page may have asked for it while this one waited.
        return self._thumbnails.find(entry) or self._thumbnails.make(entry, self._read(entry))

    def _prove(self, entry: Entry) -> bytes:
        return proof_archive(make_proof(entry, self._album, trust_in(self._home), maximum_size=self._maximum))

    def _read(self, entry: Entry) -> bytes:
        """Return the bytes that were verified; raises VerificationError where others are there, or ImageError."""
        image = read_image_file(_path_of(entry), maximum_bytes=self._maximum)
        if sha256(image).hexdigest() != entry.sha256:
            raise VerificationError(
                "another SHA-256",
                message="the file has changed since it was saved",
                hint=f"move it away, and get the image back: subscriber fetch {entry.image_id}",
            )
        return image


def _path_of(entry: Entry) -> Path:
    assert entry.path is not None  # noqa: S101 - for mypy: it is here
    return entry.path


def attachment(name: str) -> str:
    """Return the Content-Disposition for a file name, encoded so that no byte of it means anything (RFC 6266, 8187)."""
    return f"attachment; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}"
