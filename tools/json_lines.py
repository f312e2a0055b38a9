"""What the programs print with ``--json``, read from where it is printed: for docs/reference/json.md."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What is printed by common is printed by the two programs of members.
PROGRAMS = {"registrar": "registrar", "publisher": "publisher", "subscriber": "subscriber"}
IN_COMMON = "publisher, subscriber"
# Named where they are printed by what they are of.
SEVERAL = {
    "event": "`registered`, `renewed`, `whoami`",
    "item.state": "`waiting`, `refused`, `stored`, `failed`, `removed`",
    "entry.event": "what has happened, as [the log](../audit.md#entries) calls it",
}
_MENDED = "null, `restored`, `taken_out`, `taken_in`, `set_aside` or `discarded`"
_TO_REMOVE = "how many a registrar that serves has still to remove"
# What the names do not say, by program, event (empty for what ``SEVERAL`` names) and member; ``…`` for what is given
# to the event by whoever has it printed.
NOTES = {
    ("publisher", "", "ended_at"): "of `outbox`; when it left it, with `--all`",
    ("publisher", "deleted", "images"): _TO_REMOVE,
    ("publisher", "device", "presence"): "`online`, `offline`, or null where nothing is said",
    ("publisher", "failed", "…"): "`file`, `image_id` and `name` (as far as they are known)",
    ("publisher", "gone", "code"): "why the registrar does not have it any more",
    ("publisher", "member", "devices"): "how many",
    ("publisher", "member", "last_seen"): "null where it is not known",
    ("publisher", "not_yet", "user"): "of `status`; one of whom nothing is known",
    ("publisher", "ready", "folder"): "of `watch`; again where it was gone and is back",
    ("publisher", "ready", "left_alone"): "how many files from before the first start are not posted",
    ("publisher", "refused", "at"): "of `status`; on this device",
    ("publisher", "saved", "at"): "of `status`; on this device",
    ("publisher", "skipped", "file"): "of `watch`; what is no image, once",
    ("publisher", "status", "name"): "this and `channel` are null where it was posted from elsewhere",
    ("publisher", "status", "people"): "of how many, its owner not counted; with `--follow` once more at the end",
    ("publisher", "status", "saved"): "how many have it",
    ("publisher", "waiting", "file"): "null where it waited from earlier",
    ("publisher, subscriber", "", "…"): "`message` (not of `whoami`)",
    ("publisher, subscriber", "device", "known"): "of `verify`; whether it was verified before",
    ("registrar", "backed_up", "left_out"): "how many",
    ("registrar", "deleted", "images"): _TO_REMOVE,
    ("registrar", "fault", "kind"): "`damaged`, `missing`, `unknown` or `removed`",
    ("registrar", "fault", "mended"): _MENDED,
    ("registrar", "left_out", "image_id"): "of `backup`, and of `init --from-backup`",
    ("registrar", "renewed", "certificate"): "`registrar` or `broker`",
    ("registrar", "rotated", "name"): "of the new issuing CA",
    ("registrar", "rotated", "trusted"): "how many there are now",
    ("registrar", "verified", "entries"): "of `audit --verify`",
    ("registrar", "verified", "young"): "files that may be images which are being stored",
    ("subscriber", "proof", "valid"): "of `verify-proof`",
    ("subscriber", "refused", "at"): "of `list`",
    ("subscriber", "saved", "gone"): "of `list`; whether the file is not there any more",
    ("subscriber", "saved", "verified_owner"): "`verified`, `changed` or `unknown`: see [verifying](../verifying.md)",
}


def read_lines() -> list[tuple[str, str, str]]:
    """Return program, event and members of every kind of line, as Markdown."""
    found = set()
    for package in ("common", *PROGRAMS):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and (event := _event(node)):
                    program = PROGRAMS.get(package, IN_COMMON)
                    names = ["…" if each.arg is None else each.arg for each in node.keywords if each.arg != "event"]
                    members = ", ".join(_noted(program, event, name) for name in names)
                    found.add((program, SEVERAL.get(event, f"`{event}`"), members))
    return sorted(found)


def _event(call: ast.Call) -> str | None:
    """Return the event that a call prints, as it is or as ``SEVERAL`` names it; None for any other call."""
    match call:
        # Readiness, of a daemon: what is printed there itself, is what it was given.
        case ast.Call(func=ast.Attribute(attr="announce")):
            return "ready"
        case ast.Call(func=ast.Attribute(attr="event")):
            for keyword in call.keywords:
                if keyword.arg == "event" and (event := ast.unparse(keyword.value)) != "'ready'":
                    return event.strip("'")
    return None


def _noted(program: str, event: str, member: str) -> str:
    note = NOTES.get((program, "" if event in SEVERAL else event, member))
    if member == "…":
        return note or member
    return f"`{member}` ({note})" if note else f"`{member}`"
