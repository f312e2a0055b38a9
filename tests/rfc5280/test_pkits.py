"""Runs the original certificates and lists of PKITS, of every section for the profile in use (docs/rfc5280.md)."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from authorities import NOW
from rfc5280.pkits import CASES, Case, validate
from system import ROOT

from common.errors import VerificationError

# What PKITS calls valid, and we refuse: the profile has no use for it.
STRICTER = {
    "no DSA": ("4.1.4", "4.1.5"),
    "GeneralizedTime before 2050 (RFC 5280, section 4.1.2.5)": ("4.2.4",),
    "names that are not the same bytes": ("4.3.3", "4.3.4", "4.3.5", "4.3.10", "4.3.11"),
    "a list by another key than the certificate's": ("4.4.19", "4.5.1", "4.5.3", "4.5.4", "4.5.6"),
    "an authority whose basic constraints are not critical": ("4.6.4",),
    "self-issued certificates in the path": ("4.6.15", "4.6.17"),
    "name constraints other than on DNS names, addresses and mail": (
        *("4.13.1", "4.13.4", "4.13.5", "4.13.6", "4.13.11", "4.13.14", "4.13.18", "4.13.19", "4.13.27"),
        *("4.13.34", "4.13.36"),
    ),
    "lists for some certificates or reasons, or by others": (
        *("4.14.1", "4.14.4", "4.14.5", "4.14.7", "4.14.13", "4.14.18", "4.14.19"),
        *("4.14.22", "4.14.24", "4.14.25", "4.14.28", "4.14.29", "4.14.30", "4.14.33"),
    ),
    "delta lists": ("4.15.5",),
}
# What PKITS calls invalid because of a delta list alone, the only revocation of a certificate: no list here has one.
UNSEEN = {"4.15.4"}
# Warnings of cryptography about what RFC 5280 does not allow.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
REFUSED = {number for numbers in STRICTER.values() for number in numbers}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_pkits(case: Case) -> None:
    if case.number in UNSEEN or (case.is_valid and case.number not in REFUSED):
        validate(case, NOW)
        return
    with pytest.raises((ValueError, VerificationError)):
        validate(case, NOW)


def test_the_document_has_these_figures() -> None:
    """The table of docs/rfc5280.md: cases, as PKITS has it, stricter, not seen."""
    text = (ROOT / "docs/rfc5280.md").read_text()
    rows = re.findall(r"^\| (4\.\d+ [a-z -]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", text, re.MULTILINE)
    cases, stricter, unseen = Counter[str](), Counter[str](), Counter[str]()
    for case in CASES:
        cases[case.section] += 1
        stricter[case.section] += case.number in REFUSED
        unseen[case.section] += case.number in UNSEEN
    assert rows == [
        (section, *map(str, (count, count - stricter[section] - unseen[section], stricter[section], unseen[section])))
        for section, count in cases.items()
    ]
