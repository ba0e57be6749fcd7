"""The rows of the play, turn by turn: what becomes known, what lands, what is asked."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
import polars as pl

from mainspring.edges.demo.script import PREDICT_BEFORE, START

_ISO = "%Y-%m-%dT%H:%M:%SZ"
ASKED = ("flight_id", "origin", "carrier", "dest", "distance", "hour", "day_of_week")
BATCH_ROWS = 500


class Traveller:
    """Knows the whole year and tells only what a moment may know."""

    def __init__(self, flights: pl.DataFrame, weather: pl.DataFrame) -> None:
        whole = flights.with_columns(predict_at=pl.col("sched_dep") - PREDICT_BEFORE, late=pl.col("arr_delay") > 15)
        later = pl.col("predict_at") > START  # what lies before it is in the files, and is not told again
        asked = whole.lazy().filter(later).select("predict_at", *ASKED).sort("predict_at", "flight_id")
        landed = whole.lazy().filter(pl.col("landed_at") > START).sort("landed_at", "flight_id")
        self._flights, self._landings = asked.collect(), landed.collect()
        self._weather = weather.with_columns(known_at=pl.col("observed_at") + pl.duration(minutes=30)).sort("known_at")
        self._landing_columns = list(flights.columns)
        self._weather_columns = list(weather.columns)

    def landed(self, since: datetime, until: datetime) -> list[bytes]:
        """Return bodies for the flights source: rows of flights that landed in ``(since, until]``."""
        return _bodies(_between(self._landings, "landed_at", since, until).select(self._landing_columns))

    def observed(self, since: datetime, until: datetime) -> list[bytes]:
        """Return bodies for the weather source: rows that became known in ``(since, until]``."""
        return _bodies(_between(self._weather, "known_at", since, until).select(self._weather_columns))

    def outcomes(self, since: datetime, until: datetime) -> list[bytes]:
        """Return bodies of outcomes of flights that were asked about and landed in ``(since, until]``."""
        landed = _between(self._landings, "landed_at", since, until)
        known = landed.filter((pl.col("predict_at") > START) & pl.col("late").is_not_null())
        return _bodies(known.select("flight_id", value="late", event_time="landed_at", known_at="landed_at"))

    def questions(
        self, since: datetime, until: datetime, already: Collection[str] = ()
    ) -> tuple[list[bytes], list[str]]:
        """Return bodies and decision times of the flights to be predicted in ``(since, until]``, in their order."""
        asked = _between(self._flights, "predict_at", since, until).filter(
            ~pl.col("flight_id").is_in(list(already)) if already else pl.lit(True)
        )
        bodies = [msgspec.json.encode(row) for row in asked.select(ASKED).iter_rows(named=True)]
        return bodies, asked["predict_at"].dt.strftime(_ISO).to_list()


def _between(frame: pl.DataFrame, column: str, since: datetime, until: datetime) -> pl.DataFrame:
    first = frame[column].search_sorted(since, side="right")
    last = frame[column].search_sorted(until, side="right")
    return frame[first:last]


def _bodies(frame: pl.DataFrame) -> list[bytes]:
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    told = frame.with_columns(pl.col(name).dt.strftime(_ISO) for name in times)
    return [msgspec.json.encode(part.to_dicts()) for part in told.iter_slices(BATCH_ROWS)]
