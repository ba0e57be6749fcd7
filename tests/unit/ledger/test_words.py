"""What a line of the ledger says of its subject."""

import pytest

from mainspring.ledger.chain import Entry
from mainspring.ledger.words import about


def entry(kind, numbers):
    return Entry(1, 0, "ann", kind, "", "sub_1", "why", numbers, "", "")


@pytest.mark.parametrize(
    ("kind", "numbers", "words"),
    [
        ("alias.moved", {"model": "late", "alias": "champion", "from": 1, "to": 3}, "champion of late: 1 → 3"),
        (
            "alias.moved",
            {"model": "late", "alias": "challenger", "from": 3, "to": None},
            "challenger of late: 3 → none",
        ),
        ("release.promoted", {"model": "late", "challenger": 3, "champion": 1}, "late 3 against 1"),
        ("release.first_champion", {"model": "late", "version": 1}, "late 1"),
        ("policy.set", {"model": "late", "policy": {}}, "late"),
        ("key.created", {"name": "shop"}, "shop"),
        ("log.retained", {}, "sub_1"),
    ],
)
def test_an_entry_says_what_it_is_about(kind, numbers, words):
    assert about(entry(kind, numbers)) == words
