"""What people use becomes a graph that answers the same, or runs in a process; the manual says which."""

from __future__ import annotations

import pytest

from .catalogue import ENTRIES, PAGE, outcome, page

FOUND: dict[str, str] = {}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_estimator_becomes_what_the_manual_says(entry) -> None:
    FOUND[entry.name] = outcome(entry)
    where, _, why = FOUND[entry.name].partition(": ")
    assert f"| `{entry.name}` | {where} | {why} |\n" in PAGE.read_text()


def test_the_page_holds_no_other_lines() -> None:
    if len(FOUND) < len(ENTRIES):
        pytest.skip("runs after all of the above")
    assert PAGE.read_text() == page(FOUND)
