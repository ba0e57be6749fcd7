"""Every test that the manual names as the check of a promise exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
EXPLAIN = TESTS.parent / "docs" / "explain"
QUOTED = re.compile(r"`([^`\n]+)`")
FOLDERS = (TESTS, TESTS / "statistics", TESTS / "machine" / "release")
NAME = re.compile(r"^def (test_\w+)", re.MULTILINE)


def named(page: Path) -> list[str]:
    """Return the files, folders and tests that a page names, each test with its file: ``…::`` means the one before."""
    found, last = [], ""
    for quoted in QUOTED.findall(page.read_text()):
        for word in quoted.split():
            file, _, test = word.partition("::")
            if file == "…" and test:
                found.append(f"{last}::{test}")
            elif file.startswith("tests/") or re.fullmatch(r"([\w/]+/)?test_[\w*]+\.py", file):
                last = file
                found.append(word)
    return [one for one in found if not one.endswith("/…")]


def there(word: str) -> bool:
    """Tell whether a file or folder is there, and in it a test whose name has the words that an ellipsis leaves."""
    file, _, test = word.partition("::")
    for folder in FOLDERS:
        places = list(folder.glob(file.removeprefix("tests/").rstrip("/")))
        if places and not test:
            return True
        wanted = re.compile(".*".join(map(re.escape, test.split("…"))))
        if any(wanted.fullmatch(name) for place in places for name in NAME.findall(place.read_text())):
            return True
    return False


@pytest.mark.parametrize("page", sorted(EXPLAIN.glob("*.md")), ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert [word for word in named(page) if not there(word)] == []


def test_the_table_of_promises_names_tests_and_one_that_does_not_exist_is_seen() -> None:
    words = named(EXPLAIN / "what-is-promised.md")
    assert len([word for word in words if "::" in word]) > 30
    assert not there("test_release_errors.py::test_nothing_of_this_name…")
    assert not there("tests/statistics/test_nothing.py")


def test_as_many_broken_rules_are_caught_as_are_listed() -> None:
    text = (EXPLAIN / "what-is-promised.md").read_text()
    listed = text.split("| broken rule |")[1].split("\n\n")[0].splitlines()[2:]
    assert f"| broken rules are caught | each of {len(listed)} |" in text
