"""What comes true, as a project declares it."""

from __future__ import annotations

from typing import Literal

from mainspring.project.collection import Declaration
from mainspring.project.given import (
    one_of,
    reference,
    span_us,
    text,
    typed,
)
from mainspring.project.source import Source


class Outcome(metaclass=Declaration):
    """Say what comes true: a Polars SQL expression over the columns of ``source``.

    ``matures_after`` is how long after the moment of prediction the outcome is waited for. ``if_absent`` says what an
    outcome that never comes means. Set ``affected_by_answer=False`` only if no answer can change what comes true; then
    versions are compared on the same rows, which needs a hundredth of the traffic.

    >>> import mainspring as ms
    >>> landed = ms.Outcome("arr_delay > 15", source="flights", matures_after="36h", affected_by_answer=False)
    """

    broken: bool
    name: str

    def __init__(
        self,
        expression: str,
        *,
        source: Source | str,
        matures_after: str,
        if_absent: Literal["unlabelled", "negative"] = "unlabelled",
        affected_by_answer: bool = True,
    ) -> None:
        place = f"Outcome({expression!r})"
        self.expression = text(place, expression)
        self.source = reference(f"{place}.source", source, Source)
        self.matures_after_us = span_us(f"{place}.matures_after", matures_after) or 0
        self.if_absent = one_of(f"{place}.if_absent", if_absent, ("unlabelled", "negative"))
        self.affected_by_answer = bool(typed(f"{place}.affected_by_answer", affected_by_answer, bool, "True or False"))
