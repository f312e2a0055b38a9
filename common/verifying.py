"""Turns whatever fails in a check of certificates into one kind of error, with its reason for the log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import verification

from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAUSES = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    verification.VerificationError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@contextmanager
def verifying(message: str | None = None, *, code: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn a ValueError, a TypeError or what cryptography raises into a VerificationError with these words."""
    try:
        yield
    except _CAUSES as error:
        raise VerificationError(str(error) or repr(error), message=message, code=code, hint=hint) from error
