"""Every error that a person may see: what happened, a hint what to do, and a stable code.

The cause for the log (an exception chained with ``from``) and the words for the person are kept apart, so
that a refusal tells an outsider nothing that the log should keep.
"""

from __future__ import annotations


class SealcastError(Exception):
    """The base of all errors that a person may see: an ``error:`` line and a ``hint:`` line."""

    code = "failed"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class ConfigurationError(SealcastError):
    """Something on this side is missing or wrong: an option, a file, a folder, a key."""

    code = "configuration"


class SessionError(SealcastError):
    """The broker, or the registrar behind it, could not be reached or did not answer."""

    code = "session"


class RefusedError(SealcastError):
    """The registrar, or the broker, answered with a refusal.

    ``retry_after`` is in seconds, or None where trying again changes nothing.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after = retry_after


class VerificationError(SealcastError):
    """Something that came from elsewhere is not what it claims to be.

    ``reason`` is the precise cause, for the log only: outside, every failed check reads the same
    (docs/protocol.md, "Opening").
    """

    code = "not_verified"

    def __init__(
        self, reason: str, *, message: str | None = None, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message or "the image could not be verified", hint=hint, code=code)
        self.reason = reason


class ImageError(SealcastError):
    """A file is no image that may be posted or saved."""

    code = "not_an_image"
