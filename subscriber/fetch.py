"""Fetching one image because a person asks for it: what is here stays, what is gone or was refused is fetched anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import SealcastError
from subscriber.keeping import is_refusal

if TYPE_CHECKING:
    import uuid

    from common.console import Printer
    from subscriber.keeping import Keeper
    from subscriber.ledger import Ledger
    from subscriber.obtaining import Obtainer


def say_where_it_is(image_id: uuid.UUID, ledger: Ledger, printer: Printer) -> bool:
    """Say where an image is that was saved earlier; return False where it is not there."""
    for entry in ledger.entries(image_id):
        if entry.is_here:
            printer.event(
                f"here already: {entry.path}  (verified: from {entry.owner})",
                event="already_saved",
                image_id=entry.image_id,
                owner=entry.owner,
                channel=entry.channel,
                name=entry.name,
                path=entry.path,
                sha256=entry.sha256,
            )
            return True
    return False


def fetch_one(image_id: uuid.UUID, obtainer: Obtainer, keeper: Keeper, ledger: Ledger, printer: Printer) -> None:
    """Fetch, verify and save an image, whatever was noted of it before; raises SealcastError where it cannot be had."""
    # What the daemon has saved in this very moment is here, and stays.
    earlier = [entry for entry in ledger.entries(image_id) if not entry.is_here]
    try:
        obtainer.refresh_trust()
        opened = obtainer.fetch_and_open(image_id)
    except SealcastError as error:
        if is_refusal(error):
            owners = {entry.owner for entry in earlier}
            keeper.say_refused(image_id, owners.pop() if len(owners) == 1 else None, error)
        raise
    # By itself, and only now: whatever happens before the image is saved, the ledger does not say that it is.
    for entry in earlier:
        if entry.owner == opened.header.owner:
            ledger.forget(entry)
    if keeper.save(opened):
        keeper.settle(opened.header.owner, image_id)
    else:
        say_where_it_is(image_id, ledger, printer)
