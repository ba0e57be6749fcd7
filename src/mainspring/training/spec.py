"""When a model is made again: what a project writes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput

_AT_MOST = re.compile(r"1 per (.+)")


class Retrain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Retrain on a schedule, on alarms of the named monitors, or both.

    ``every`` is how old a champion may become; a candidate that fails is followed by another. ``on`` names monitors
    (``quality``, ``drift``); ``at_most`` is ``1 per`` a duration; ``window`` is ``expanding`` or a duration back from
    the moment of training. A candidate is made only if a backtest over ``backtest_origins`` origins shows that
    retraining would have helped.

    >>> Retrain(every="30d", on=["quality"], at_most="1 per 7d").cooldown_us // 86_400_000_000
    7
    """

    every: str | None = None
    on: Sequence[str] = ()
    window: str = "expanding"
    at_most: str = "1 per 1d"
    backtest_origins: int = 6

    def __post_init__(self) -> None:
        if self.every is None and not self.on:
            raise InvalidInput(
                "needs a schedule or a trigger", field="retrain", remedy='give every="30d" or on=["quality"]'
            )
        if self.backtest_origins < 2:
            raise InvalidInput(
                "needs at least 2 origins", field="retrain.backtest_origins", value=self.backtest_origins
            )
        if self.every is not None:
            parse_duration(self.every, field="retrain.every")
        window_us(self.window, field="retrain.window")
        _ = self.cooldown_us

    @property
    def every_us(self) -> int | None:
        """The schedule in microseconds."""
        return None if self.every is None else _us(self.every, "retrain.every")

    @property
    def cooldown_us(self) -> int:
        """The shortest time between two retrainings in microseconds."""
        match = _AT_MOST.fullmatch(self.at_most.strip())
        if match is None:
            raise InvalidInput("is not a rate", field="retrain.at_most", value=self.at_most, remedy='write "1 per 7d"')
        return _us(match[1], "retrain.at_most")


def window_us(window: str, *, field: str = "window") -> int | None:
    """Return the length of a training window in microseconds, None for ``expanding``."""
    return None if window == "expanding" else _us(window, field)


def _us(text: str, field: str) -> int:
    return round(parse_duration(text, field=field).total_seconds() * 1_000_000)
