"""Issues the CRLs that the broker and everybody else go by, whenever the database is ahead of them or they are old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import revocation_lists
from common.revocation_lists import crl_number, read_crls
from registrar.authority_files import exclusively

if TYPE_CHECKING:
    import datetime as dt

    from registrar.authority import Authority
    from registrar.revocations import Revocations


def issue_when_due(authority: Authority, revocations: Revocations, now: dt.datetime) -> bool:
    """Issue the CRLs anew where those at hand are not what the database says, or grow old; tell whether they were.

    The command that revokes and every running registrar may do so at once. Raises ConfigurationError where they cannot
    be written, RefusedError while the database does not answer; those at hand stay, whole.
    """
    if not _are_due(authority, revocations, now):
        return False
    with exclusively(authority.home):
        # Another process may have been faster.
        if not _are_due(authority, revocations, now):
            return False
        if authority.needs_crls(now):
            revocations.take_number(now)
        elif (highest := _highest(authority, now)) > revocations.number():
            # The database is younger than the list: it was restored, or made anew.
            revocations.take_number(now, above=highest)
        number, revoked = revocations.listed(now)
        crls = authority.issue_crls(revoked, number, now)
        # Before it takes the place of the last: Mosquitto 2.0.11 lets everyone in after one that is no list (measured).
        read_crls(revocation_lists.to_pem(crls), issuing=authority.issuing, now=now)
        authority.write_crls(crls)
    return True


def _are_due(authority: Authority, revocations: Revocations, now: dt.datetime) -> bool:
    return authority.needs_crls(now) or _highest(authority, now) != revocations.number()


def _highest(authority: Authority, now: dt.datetime) -> int:
    return max(crl_number(crl) for crl in authority.trust(now).crls)
