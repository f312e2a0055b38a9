"""Removing an image: out of the outbox, and where it may have been sent, by the registrar as well."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import ConfigurationError
from publisher.items import State

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from publisher.courier import Courier
    from publisher.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Removal:
    """Where an image was that is removed now."""

    was_in_outbox: bool
    was_stored: bool


def remove(
    image_id: uuid.UUID,
    outbox: Outbox,
    reach: Callable[[], AbstractContextManager[Courier]],
    clock: Callable[[], dt.datetime],
) -> Removal:
    """Remove an image, whether it is in the outbox or was posted from elsewhere.

    ``reach`` opens a session, which an image that was never sent does not need. Raises SessionError where the registrar
    cannot be reached, RefusedError where it says no, and ConfigurationError while another process sends the image.
    """
    with contextlib.ExitStack() as stack:
        item = outbox.get(image_id)
        if item is not None and item.is_present:
            claim = outbox.claim(image_id)
            item = claim.item if claim else outbox.get(image_id)
            if claim is not None:
                stack.enter_context(claim)
            elif item is not None and item.is_present:
                raise ConfigurationError(
                    "the image is being sent at this moment",
                    hint="run the command again when that has ended",
                    code="being_sent",
                )
        was_in_outbox, was_stored = item is not None and item.is_present, False
        if item is None or not was_in_outbox or item.attempted_at is not None:
            # The registrar remembers it even where it has no such image: it may be on its way still.
            was_stored = stack.enter_context(reach()).registrar.remove(image_id).was_stored
        if item is not None:
            outbox.settle(item, State.REMOVED, clock())
        return Removal(was_in_outbox, was_stored)
