"""A watched folder while something is wrong: it is said once, tried again, and nothing is lost or posted twice."""

from __future__ import annotations

import pytest
from flows.watching import LONG_AGO, Watched, image

from common.errors import ConfigurationError, RefusedError, SessionError
from publisher.items import State

AWAY = SessionError("no broker answers", hint="see whether it runs", code="no_broker")


def fill(*_: object) -> None:
    raise ConfigurationError("no space left on device", hint="make room", code="outbox")


def states(watched: Watched) -> list[str]:
    with watched.life():
        return [item.state for item in watched.outbox.items()]


def test_without_a_broker_images_wait_and_are_sent_by_themselves(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    watched.away = AWAY
    watched.write("one.png", image(1), age=LONG_AGO + 1)
    watched.write("two.png", image(2))
    with watched.life(include_existing=True) as live:
        live(LONG_AGO)
        assert watched.said("waiting") == ["one.png", "two.png"]
        assert (
            capsys.readouterr().err.count("error: no broker answers\nhint: see whether it runs; this is tried again")
            == 1
        )
        watched.away = None
        live(60)
        assert watched.said("stored") == ["one.png", "two.png"]
    assert len(watched.stored) == 2


def test_what_waited_is_sent_after_a_restart(watched: Watched) -> None:
    watched.away = AWAY
    watched.write("one.png", image(1))
    watched.live()
    watched.away = None
    watched.live()
    assert watched.said("stored") == ["one.png"]


def test_what_the_registrar_refuses_stays_in_the_outbox_and_is_said_once(watched: Watched) -> None:
    watched.refusal = RefusedError("the archive has no room for more of yours", code="quota_exceeded")
    watched.write("one.png", image(1))
    for _ in range(2):
        watched.live(LONG_AGO)
    assert [one["code"] for one in watched.printer.named("failed")] == ["quota_exceeded"]
    assert states(watched) == [State.REFUSED]


def test_what_the_registrar_puts_off_is_sent_later(watched: Watched) -> None:
    watched.refusal = RefusedError("too many at once", code="busy", retry_after=1)
    watched.write("one.png", image(1))
    with watched.life(include_existing=True) as live:
        live()
        watched.refusal = None
        live(60)
    assert watched.said("stored") == ["one.png"]


def test_a_file_that_may_not_be_read_is_tried_again_and_said_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.write("one.png", image(1))

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with watched.life(include_existing=True) as live:
        with monkeypatch.context() as patch:
            patch.setattr("publisher.watching.folder.Folder.open", refuse)
            live(LONG_AGO)
        assert [one["code"] for one in watched.printer.named("failed")] == ["unreadable"]
        live(LONG_AGO)
    assert watched.said("stored") == ["one.png"]


def test_a_recipient_who_is_not_known_holds_everything_up_and_is_said_once(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    watched.wishes = type(watched.wishes)(("carol",), "public", None, keep_metadata=False, cipher=watched.wishes.cipher)
    for number in range(3):
        watched.write(f"{number}.png", image(number))
    with watched.life(include_existing=True) as live:
        live(60)
        assert watched.printer.events == []
        assert capsys.readouterr().err.count("error: ") == 1
        watched.owner.world.identity("carol")
        live(60)
    assert sorted(watched.said("stored")) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("failing", ["publisher.outbox.write_new", "publisher.watching.memory.Memory.intend"])
def test_on_a_full_disk_an_image_is_said_once_and_posted_when_there_is_room(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    watched.write("one.png", image(1))
    with watched.life(include_existing=True) as live:
        with monkeypatch.context() as patch:
            patch.setattr(failing, fill)
            live(LONG_AGO)
        assert watched.stored == []
        assert [one["file"].name for one in watched.printer.named("failed")] == ["one.png"]
        live(LONG_AGO)
    assert watched.stored == [("public", "one.png")]


def test_what_is_in_the_outbox_and_could_not_be_noted_is_posted_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.write("one.png", image(1))
    with watched.life(include_existing=True) as live:
        with monkeypatch.context() as patch:
            patch.setattr("publisher.watching.memory.Memory.finish", fill)
            live()
        live(LONG_AGO)
    watched.live(LONG_AGO)
    assert watched.stored == [("public", "one.png")]
    assert watched.said("stored") == ["one.png"]


def test_what_is_skipped_and_could_not_be_noted_is_said_when_it_can(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.write("notes.txt", b"no image")
    with watched.life(include_existing=True) as live:
        with monkeypatch.context() as patch:
            patch.setattr("publisher.watching.memory.Memory.leave", fill)
            live(LONG_AGO)
        assert [one["event"] for one in watched.printer.events] == ["failed"]
        live(LONG_AGO)
    watched.live(LONG_AGO)
    assert watched.said("skipped") == ["notes.txt"]


def test_a_watch_that_has_nothing_to_post_has_a_session_once_a_day(watched: Watched) -> None:
    # Its certificate would end otherwise, after 90 days without an image.
    with watched.life() as live:
        live()
        before = watched.sessions
        live(3 * 24 * 3600 + 60)
        assert watched.sessions == before + 3


def test_a_session_is_closed_when_nothing_is_to_be_sent_and_opened_again(watched: Watched) -> None:
    with watched.life() as live:
        for number in range(3):
            watched.write(f"{number}.png", image(number))
            live()
            live(5)
        assert watched.sessions == 1
        live(60)
        watched.write("later.png", image(7))
        live()
    assert (watched.sessions, len(watched.stored)) == (2, 4)
