"""What is played: the period, the length of a turn, and who enters when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mainspring.kernel.errors import InvalidInput, NotFound, nearest

MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
MODEL = "late"
START = datetime(2013, 3, 1, 5, tzinfo=UTC)  # midnight in New York
TURN = timedelta(hours=12)
SLICE = timedelta(hours=1)
# Whatever a source declares, its rows arrive when planes have landed. Where it says that they are known earlier, no
# cut-off protects an answer from rows that arrive later in the same slice, so slices are short and rows come after it.
SLICED = ("leaky",)
SETTLE = timedelta(hours=42)  # the last outcomes of a month become known in this time
PREDICT_BEFORE = timedelta(hours=2)


class Entrance(msgspec.Struct, frozen=True):
    """A challenger that a person enters: which recipe, when, and what they hope."""

    recipe: str
    at: datetime
    reason: str


ENTRANCES = (
    Entrance("last_month", datetime(2013, 3, 15, 12, tzinfo=UTC), "the last month alone may be closer to now"),
    Entrance("leaky", datetime(2013, 4, 10, 12, tzinfo=UTC), "it looks best offline"),
    Entrance("flaky", datetime(2013, 5, 20, 12, tzinfo=UTC), "the same trees with a new wrapper around them"),
)


def last_month(word: str) -> int:
    """Return the number of the last month to play, from its name or its number."""
    known = {name: number for number, name in enumerate(MONTHS, 1)} | {str(n): n for n in range(1, 13)}
    matches = {known[name] for name in known if name.startswith(word.lower())} if word.isalpha() else {known.get(word)}
    if len(matches) != 1 or (month := matches.pop()) is None:
        raise InvalidInput("is not a month", field="until", value=word, remedy=nearest(word.lower(), MONTHS))
    if month < START.month:
        raise InvalidInput(
            "lies before the play begins", field="until", value=word, remedy="name march or a later month"
        )
    return month


def end_of(month: int) -> datetime:
    """Return the moment after the last departure of a month of 2013 in New York."""
    return datetime(2014, 1, 1, 5, tzinfo=UTC) if month == 12 else datetime(2013, month + 1, 1, 4, tzinfo=UTC)


def example_project() -> Path:
    """Return the folder of the example: in the installed package, or beside the source tree."""
    import mainspring

    package = Path(mainspring.__file__).parent
    for folder in (package / "examples" / "flights", package.parents[1] / "examples" / "flights"):
        if (folder / "project.py").exists():
            return folder
    raise NotFound("the flights example is not installed", field="example", remedy="install mainspring again")
