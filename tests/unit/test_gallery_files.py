"""What the gallery shows of an image: small, whole, and as a download."""

from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from typing import TYPE_CHECKING

import authorities
import pictures
import pytest
from galleries import Browser, Gallery, serve
from sealed_images import make_header
from system import PATIENCE, wait_until
from vectors.world import IMAGE

from common.decoder import LONGEST_SIDE, Decoder
from common.identity import AUTHORITIES, CRL
from common.settings import MEBIBYTE, Settings
from common.signing import detach, sign
from subscriber.gallery.files import attachment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from subscriber.ledger import Entry

POLYGLOT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg><!-- \x89PNG\r\n\x1a\n -->'
NAMES = {
    "kyle.png": "kyle.png",
    '"><script>alert(1)</script>.png': "%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E.png",
    "a\r\nSet-Cookie: x=y.png": "a%0D%0ASet-Cookie%3A%20x%3Dy.png",
    "holiday\u202egnp.exe": "holiday%E2%80%AEgnp.exe",
    "../../.bashrc": "..%2F..%2F.bashrc",
    "Größe 😀; filename=evil.exe": "Gr%C3%B6%C3%9Fe%20%F0%9F%98%80%3B%20filename%3Devil.exe",
    "broken\udce9.png": "broken%3F.png",
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(Settings()) as one:
        yield one


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, decoder: Decoder) -> Iterator[Gallery]:
    with serve(tmp_path_factory.mktemp("home"), decoder.thumbnail) as one:
        yield one


@pytest.fixture
def browser(gallery: Gallery) -> Browser:
    gallery.empty()
    return gallery.browser()


def of(entry: Entry, kind: str = "images") -> str:
    return f"/{kind}/{entry.owner}/{entry.image_id}"


def test_an_image_is_shown_as_it_was_verified(gallery: Gallery, browser: Browser) -> None:
    image = pictures.plain("image/jpeg")
    answer = browser.get(of(gallery.save(image, media_type="image/jpeg")))
    assert (answer.status, answer.body) == (200, image)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == "inline"


def test_a_page_in_disguise_is_an_image_that_does_nothing(gallery: Gallery, browser: Browser) -> None:
    answer = browser.get(of(gallery.save(POLYGLOT, name="kyle.svg.png")))
    assert answer.body == POLYGLOT
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_what_has_no_signed_type_is_never_shown(gallery: Gallery, browser: Browser) -> None:
    entry = gallery.save(pictures.plain("image/png"))
    gallery.ledger._database.write("UPDATE images SET header = NULL")  # noqa: SLF001 - as version 0.1.0 left it
    answer = browser.get(of(entry))
    assert (answer.headers["content-type"], answer.headers["content-disposition"]) == (
        "application/octet-stream", "attachment",
    )  # fmt: skip
    assert browser.get(of(entry, "thumbnails")).headers["content-type"] == "image/webp"


@pytest.mark.parametrize(("name", "encoded"), NAMES.items())
def test_a_download_has_a_name_that_means_nothing_else(name: str, encoded: str) -> None:
    assert attachment(name) == f"attachment; filename*=UTF-8''{encoded}"


def test_a_download_has_the_name_that_it_has_in_the_inbox(gallery: Gallery, browser: Browser) -> None:
    answer = browser.get(of(gallery.save(number=7, name="another.png")) + "/download")
    assert (answer.status, answer.body) == (200, b"an image")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''7.png"


@pytest.mark.parametrize("kind", ["images", "thumbnails"])
def test_a_file_that_has_changed_is_not_shown(gallery: Gallery, browser: Browser, kind: str) -> None:
    image, another = (pictures.plain("image/png", pictures.still(seed=seed)) for seed in (20, 21))
    entry = gallery.save(image)
    assert entry.path is not None
    entry.path.write_bytes(another)
    answer = browser.get(of(entry, kind))
    assert (answer.status, answer.json["message"]) == (404, "the file has changed since it was saved")
    entry.path.write_bytes(image)
    assert browser.get(of(entry, kind)).status == 200


@pytest.mark.parametrize("kind", ["images", "thumbnails"])
def test_a_file_that_cannot_be_read_is_not_there(gallery: Gallery, browser: Browser, kind: str) -> None:
    gone, folder, large = (gallery.save(number=number) for number in (1, 2, 3))
    for entry in (gone, folder, large):
        assert entry.path is not None
        entry.path.unlink()
    assert folder.path is not None
    folder.path.mkdir()
    assert large.path is not None
    large.path.write_bytes(b"x" * (MEBIBYTE + 1))
    for entry in (gone, folder, large):
        assert browser.get(of(entry, kind)).status == 404


@pytest.mark.parametrize("path", ["alice/..", "../inbox", "%2e%2e/%2e%2e", "alice/%2Fetc", "alice/x", "a'--/x"])
def test_nothing_but_saved_images_has_a_path(gallery: Gallery, browser: Browser, path: str) -> None:
    gallery.save()
    refused = gallery.refuse(number=2)
    for kind in ("images", "thumbnails"):
        assert browser.get(f"/{kind}/{path}").status == 404
        assert browser.get(f"/{kind}/{path}/download").status == 404
        assert browser.get(of(refused, kind)).status == 404


def test_a_thumbnail_is_small_and_turned(gallery: Gallery, browser: Browser) -> None:
    image = pictures.plain(
        "image/jpeg", pictures.Image.new("RGB", (1200, 800), "red"), exif=b"Exif\0\0" + pictures.exif(pictures.TURNED)
    )
    answer = browser.get(of(gallery.save(image, media_type="image/jpeg"), "thumbnails"))
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=86400"
    assert pictures.look(answer.body).frames[0][1] == (LONGEST_SIDE * 2 // 3, LONGEST_SIDE)


def test_a_broken_thumbnail_is_not_there(gallery: Gallery, browser: Browser) -> None:
    broken = gallery.save(b"no image at all")
    assert [browser.get(of(broken, "thumbnails")).status for _ in range(2)] == [404, 404]
    assert browser.get(of(gallery.save(pictures.plain("image/png"), number=2), "thumbnails")).status == 200


def test_who_went_away_costs_no_thumbnail(tmp_path: Path) -> None:
    begun, asked_for = [], []
    may_end = threading.Event()

    def decode(image: bytes) -> bytes:
        begun.append(image)
        assert may_end.wait(PATIENCE)
        return image

    with serve(tmp_path, decode) as gallery, contextlib.ExitStack() as stack:
        browser = gallery.browser()
        find = gallery.thumbnails.find
        gallery.thumbnails.find = lambda entry: asked_for.append(entry.name) or find(entry)  # type: ignore[method-assign]
        connections = [stack.enter_context(browser.connection()) for _ in range(4)]
        for number, connection in enumerate(connections):
            browser.send(connection, "GET", of(gallery.save(b"%d" % number, number=number), "thumbnails"), {})
            wait_until(lambda number=number: f"{number}.png" in asked_for, "it is asked for")
            if number == 1:
                wait_until(lambda: len(begun) == 2, "two are being made")
            if number == 2:
                connection.close()
        may_end.set()
        assert [connections[number].getresponse().read() for number in (0, 1, 3)] == [b"0", b"1", b"3"]
        assert sorted(begun) == [b"0", b"1", b"3"]


def test_a_proof_is_one_download(gallery: Gallery, browser: Browser) -> None:
    authority, header = authorities.default(), make_header([])
    alice = authority.member("alice")
    entry = gallery.save(IMAGE)
    proof = of(entry, "proofs")
    trust = authority.trust()
    (gallery.home / AUTHORITIES).write_bytes(trust.ca_pem)
    (gallery.home / CRL).write_bytes(trust.crl_pem)
    assert (browser.get(proof).status, browser.get(proof).json["code"]) == (404, "no_proof")
    signed = sign(IMAGE, alice.key, alice.certificate, image_header=header.to_json().decode())
    gallery.ledger.keep_signature("alice", entry.image_id, detach(signed))
    answer = browser.get(proof)
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''1.proof.zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.read("1.png") == IMAGE
        assert set(archive.namelist()) == {"1.png", "1.png.p7s", "1.png.chain.pem", "1.png.txt"}
    assert browser.get(of(gallery.refuse(number=5), "proofs")).status == 404
