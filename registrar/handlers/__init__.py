"""What the registrar does for each operation: authorise, act, answer (docs/protocol.md, "Operations").

A handler knows no SQL and no MQTT: it gets a checked request, uses accounts, authority, catalogue and archive, and
returns the result together with what has to be published.
"""

from registrar.handlers.enrolling import Applicant, Enrolling
from registrar.handlers.membership import Membership
from registrar.handlers.reading import Reading
from registrar.handlers.receipting import Receipting
from registrar.handlers.stores import Outcome, Publication, announcement
from registrar.handlers.storing import Storing

__all__ = ["Applicant", "Handlers", "Outcome", "Publication", "announcement"]


class Handlers(Enrolling, Membership, Storing, Reading, Receipting):
    """The registrar's operations over its stores."""

    __slots__ = ()
