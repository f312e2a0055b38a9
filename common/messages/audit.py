"""What the registrar signs about its audit log (docs/audit.md, "The head")."""

from __future__ import annotations

from typing import Literal

from common.messages.fields import Hex64, Message, Size, Time


class AuditHead(Message):
    """The newest entry of the log, by its ordinal and its hash, which depends on all entries before it."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-audit-head"] = "sealcast-audit-head"
    ordinal: Size
    hash: Hex64
    signed_at: Time
