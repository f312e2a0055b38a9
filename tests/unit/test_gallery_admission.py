"""Who is let into the gallery, and what every answer carries."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from galleries import Answer, Browser, Gallery, serve
from system import wait_until

from subscriber.gallery import peers
from subscriber.gallery.server import LOOPBACK, MOST_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE_ID = "00000000-0000-7000-8000-000000000001"
PATHS = (
    "/", "/?token=", "/?token=guess", "/static/gallery.html", "/api/images", "/api/images/", "/api/refused",
    "/api/filters", "/api/status", "/events", f"/thumbnails/alice/{IMAGE_ID}", f"/images/alice/{IMAGE_ID}",
    f"/images/alice/{IMAGE_ID}/download", f"/images/nobody/{IMAGE_ID}", "/no/such/path", "//evil.example",
)  # fmt: skip
METHODS = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with serve(tmp_path_factory.mktemp("home"), lambda image: b"small " + image) as one:
        one.save(number=1)
        yield one


def says(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    return answer.status, answer.body, {name: value for name, value in answer.headers.items() if name != "date"}


def test_the_address_lets_one_browser_in(gallery: Gallery) -> None:
    browser = Browser(gallery.port)
    answer = browser.enter(gallery.door.new_address())
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/", b"")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"sealcast-gallery-{gallery.port}=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "samesite=strict", "path=/"}
    assert browser.get("/").status == 200
    assert browser.get("/api/images").json["total"] == 1
    assert browser.get(f"/images/alice/{IMAGE_ID}").body == b"an image"


def test_the_address_works_once(gallery: Gallery) -> None:
    address = gallery.door.new_address()
    first, second = Browser(gallery.port), Browser(gallery.port)
    first.enter(address)
    assert second.enter(address).status == 403
    assert second.get("/").status == 403
    assert first.get("/").status == 200


def test_a_second_look_at_the_address_does_not_use_it_up(gallery: Gallery) -> None:
    address = gallery.door.new_address()
    path = address.removeprefix(f"http://127.0.0.1:{gallery.port}")
    assert Browser(gallery.port).get(path, "HEAD").status == 403
    assert Browser(gallery.port).get(path, sec_fetch_site="cross-site").status == 403
    assert Browser(gallery.port).enter(address).status == 303


@pytest.mark.parametrize("path", PATHS)
def test_without_a_session_every_path_answers_the_same(gallery: Gallery, path: str) -> None:
    stranger = Browser(gallery.port)
    usual = stranger.get("/")
    assert usual.status == 403
    assert b"subscriber gallery" in usual.body
    assert says(stranger.get(path)) == says(usual)
    for cookie in ("x", f"sealcast-gallery-{gallery.port}=guess", f"sealcast-gallery-{gallery.port}="):
        assert says(stranger.get(path, cookie=cookie)) == says(usual)
    assert all(says(stranger.get(path, method)) == says(usual) for method in METHODS)


@pytest.mark.parametrize("path", PATHS)
def test_with_a_session_only_reading_is_possible(gallery: Gallery, path: str) -> None:
    browser = gallery.browser()
    assert all(browser.get(path, method).status in {404, 405} for method in METHODS)


def test_a_name_that_leads_here_is_another_host(gallery: Gallery) -> None:
    browser = gallery.browser()
    own = f"127.0.0.1:{gallery.port}"
    assert browser.get("/", host=own).status == 200
    assert browser.get("/", host=f"localhost:{gallery.port}").status == 200
    for host in ("evil.example", f"evil.example:{gallery.port}", "127.0.0.1", f"{own}0", "", None):
        assert browser.get("/", host=host).status in {400, 403}  # HTTP itself demands one


def test_a_page_of_another_site_gets_nothing(gallery: Gallery) -> None:
    browser = gallery.browser()
    path = f"/images/alice/{IMAGE_ID}"
    for site in ("cross-site", "same-site", "same-origin, none", ""):
        assert browser.get(path, sec_fetch_site=site).status == 403
    assert browser.get(path, sec_fetch_site="same-origin").status == 200
    assert browser.get(path, sec_fetch_site="none").status == 200


def test_a_script_of_another_origin_gets_nothing(gallery: Gallery) -> None:
    browser = gallery.browser()
    own = f"http://127.0.0.1:{gallery.port}"
    for origin in ("null", "http://evil.example", f"https://127.0.0.1:{gallery.port}", "http://127.0.0.1:1", ""):
        assert browser.get("/api/images", origin=origin).status == 403
    assert browser.get("/api/images", origin=own).status == 200
    # Nobody is told that another origin may read anything.
    assert not [name for name in browser.get("/api/images", origin=own).headers if name.startswith("access-control")]


def test_every_answer_holds_the_page_to_what_it_needs(gallery: Gallery) -> None:
    browser, stranger = gallery.browser(), Browser(gallery.port)
    visitors, methods = (browser, stranger), ("GET", "HEAD", "POST")
    answers = [
        visitor.get(path, method)
        for visitor, path, method in itertools.product(visitors, PATHS, methods)
        if (visitor, path, method) != (browser, "/events", "GET")
    ]
    answers += [browser.get("/api/images?limit=x"), stranger.enter(gallery.door.new_address())]
    assert {answer.status for answer in answers} == {200, 303, 400, 403, 404, 405}
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"].startswith(("default-src 'none'; script-src 'self';", "sandbox;"))
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["cache-control"].startswith("private, ")
        assert "server" not in headers


def test_no_log_has_the_token(gallery: Gallery, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        address = gallery.door.new_address()
        assert Browser(gallery.port).enter(address).status == 303
        assert Browser(gallery.port).enter(address).status == 403
    assert address.partition("token=")[2] not in caplog.text
    assert address.partition("token=")[2] not in repr(vars(gallery.door))


def test_what_nobody_foresaw_is_no_traceback(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("subscriber.album.Album.filters", lambda _: {}["secret"])
    answer = gallery.browser().get("/api/filters")
    assert (answer.status, answer.body) == (500, b"failed")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in caplog.text
    assert "the gallery could not answer: KeyError" in caplog.text


def test_a_program_of_another_user_gets_nothing_with_the_very_cookie(tmp_path: Path) -> None:
    with serve(tmp_path, users=()) as gallery:
        browser = Browser(gallery.port)
        assert browser.enter(gallery.door.new_address()).status == 403
        gallery.door.users = (os.getuid(),)
        assert browser.enter(gallery.door.new_address()).status == 303
        assert browser.get("/").status == 200
        gallery.door.users = ()
        assert browser.get("/").status == 403


def test_whose_connection_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        connection, peer = server.accept()
        with connection:
            assert peers.user_of(peer, server.getsockname()) == os.getuid()
            assert peers.user_of((peer[0], 1), server.getsockname()) is None


def test_whose_connection_it_is_over_a_socket_of_ipv6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (0, 0, *struct.unpack("=2I", bytes((0, 0, 255, 255, 127, 0, 0, 1))))
    host = "".join(f"{word:08X}" for word in words)
    table = tmp_path / "tcp6"
    table.write_text(f"head\n 0: {host}:0050 {host}:1F90 01 00000000:00000000 00:00000000 00000000  1234 0 1\n")
    monkeypatch.setattr(peers, "_TABLES", (tmp_path / "none", table))
    assert peers.user_of(("127.0.0.1", 0x50), ("127.0.0.1", 0x1F90)) == 1234
    assert peers.user_of(("127.0.0.1", 0x51), ("127.0.0.1", 0x1F90)) is None


def test_where_no_system_tells_everybody_has_to_have_the_cookie(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "_TABLES", (tmp_path / "none", tmp_path / "none"))
    assert gallery.browser().get("/").status == 200
    assert Browser(gallery.port).get("/").status == 403


def test_nobody_uses_up_the_files_of_this_program_with_connections(tmp_path: Path) -> None:
    with serve(tmp_path) as gallery, contextlib.ExitStack() as stack:
        flood = [
            stack.enter_context(socket.create_connection((LOOPBACK, gallery.port))) for _ in range(2 * MOST_CONNECTIONS)
        ]
        wait_until(lambda: sum(map(is_open, flood)) == MOST_CONNECTIONS, "what is too much is closed")
        stack.close()
        wait_until(lambda: answers(gallery), "the gallery notices that they are gone")


def is_open(connection: socket.socket) -> bool:
    """Tell whether the other end, which has nothing to say, has not closed a connection."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def answers(gallery: Gallery) -> bool:
    try:
        return Browser(gallery.port).get("/").status == 403
    except ConnectionError:
        return False
