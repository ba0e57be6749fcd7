"""The one tree of errors. Each says what is wrong, where, and what to do next; HTTP codes live only at the edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar


class MainspringError(Exception):
    """Base of every error that Mainspring raises on purpose.

    >>> error = InvalidInput("must be positive", field="margin", value=-1, remedy="give a margin above 0")
    >>> str(error)
    'margin: must be positive (got -1); give a margin above 0'
    """

    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, field: str | None = None, value: Any = None, remedy: str | None = None) -> None:
        self.what = what
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """Return the whole message on one line."""
        where = f"{self.field}: " if self.field else ""
        got = f" (got {shorten(self.value)})" if self.value is not None else ""
        next_step = f"; {self.remedy}" if self.remedy else ""
        return f"{where}{self.what}{got}{next_step}"

    def as_dict(self) -> dict[str, Any]:
        """Return what an edge may show: code, message, field and remedy; never a traceback."""
        shown = {"code": self.code, "message": self.sentence(), "field": self.field, "remedy": self.remedy}
        return {key: value for key, value in shown.items() if value is not None}


class InvalidInput(MainspringError):
    """What was given breaks a stated rule."""

    code = "invalid_input"


class InvalidProject(InvalidInput):
    """A project's declarations are wrong; holds every fault at once."""

    code = "invalid_project"

    def __init__(self, faults: Sequence[MainspringError]) -> None:
        self.faults = tuple(faults)
        many = f"{len(self.faults)} faults" if len(self.faults) != 1 else "1 fault"
        super().__init__(f"the project has {many}:\n" + "\n".join(f"  {fault.sentence()}" for fault in self.faults))

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "faults": [fault.as_dict() for fault in self.faults]}


class NotFound(MainspringError):
    """What was named does not exist."""

    code = "not_found"


class Conflict(MainspringError):
    """What was asked for contradicts the present state."""

    code = "conflict"


class Refused(MainspringError):
    """A rule of safety forbids it: a permission, a policy, a failed check."""

    code = "refused"


class Misconfigured(MainspringError):
    """By its settings a process cannot work: starting it again would change nothing."""

    code = "misconfigured"


class Unavailable(MainspringError):
    """It cannot be done now but may work later: a full queue, a full disk, a process that is away."""

    code = "unavailable"


class Damaged(MainspringError):
    """Stored bytes are not what was written."""

    code = "damaged"


class WorkerFailed(MainspringError):
    """User code raised, returned the wrong thing, or did not end in time."""

    code = "worker_failed"


def shorten(value: Any, limit: int = 80) -> str:
    """Return ``repr(value)`` cut to ``limit`` characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or a number of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a remedy that names the known word closest to ``word``, or lists what is known.

    >>> nearest("roc_acu", ["roc_auc", "log_loss"])
    "did you mean 'roc_auc'?"
    """
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "none is known yet"


def unknown(kind: str, word: str, known: Iterable[str]) -> NotFound:
    """Return the error for a name that does not exist, with the nearest one that does."""
    return NotFound(f"there is no such {kind}", field=kind, value=word, remedy=nearest(word, known))
