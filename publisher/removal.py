"""Removing an image: out of the outbox, and where it may have been sent, by the registrar as well."""

from __future__ import annotations

import contextlib
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


def remove(
    image_id: uuid.UUID,
    outbox: Outbox,
    reach: Callable[[], AbstractContextManager[Courier]],
    clock: Callable[[], dt.datetime],
) -> None:
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
        if item is None or not item.is_present or item.attempted_at is not None:
            # The registrar remembers it even where it has no such image: it may be on its way still.
            stack.enter_context(reach()).registrar.remove(image_id)
        if item is not None:
            outbox.settle(item, State.REMOVED, clock())
