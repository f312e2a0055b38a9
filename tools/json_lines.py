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
    "item.state": "`waiting`, `refused`, `stored`, `failed`, `removed`",
    "entry.event": "what has happened, as [the log](../audit.md#entries) calls it",
}


def read_lines() -> list[tuple[str, str, str]]:
    """Return program, event and members of every kind of line, as Markdown; ``…`` where there may be more."""
    found = set()
    for package in ("common", *PROGRAMS):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and _prints(node):
                    given = {keyword.arg: keyword.value for keyword in node.keywords}
                    event = given.pop("event")
                    members = ["…" if name is None else f"`{name}`" for name in given]
                    found.add((PROGRAMS.get(package, IN_COMMON), _name(event), ", ".join(members)))
    return sorted(found)


def _prints(call: ast.Call) -> bool:
    is_event = isinstance(call.func, ast.Attribute) and call.func.attr == "event"
    return is_event and any(keyword.arg == "event" for keyword in call.keywords)


def _name(event: ast.expr) -> str:
    if isinstance(event, ast.Constant) and isinstance(event.value, str):
        return f"`{event.value}`"
    return SEVERAL.get(ast.unparse(event), "…")
