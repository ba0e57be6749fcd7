"""Refusals of a crowd: the first of a second are told one by one, the rest are said from memory and counted."""

from __future__ import annotations

import math
import time
from typing import Any

from mainspring.edges.gateway.limits import TooMany
from mainspring.edges.gateway.routes import Problem

TOLD_A_S = 50
_REMEMBERED = 64
Said = tuple[int, tuple[tuple[str, str], ...], bytes]


class Crowd:
    """Tells when requests are refused in such numbers that telling each would cost what answers need."""

    __slots__ = ("_count", "_said", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._said: dict[Any, Said] = {}

    def said(self, problem: Problem, error: TooMany) -> Said | None:
        """Return status, headers and body of one refusal among many; None while there are few."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= TOLD_A_S:
            return None
        key = problem, error.field, error.what, math.ceil(error.wait_s)
        found = self._said.get(key)
        if found is None:
            if len(self._said) >= _REMEMBERED:
                self._said.clear()
            status, headers, body = problem(error)
            found = self._said[key] = status, tuple(headers), body
        return found
