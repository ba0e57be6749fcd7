"""Taking records and sources in, and feeding what came to the views; a failure in between is made good later."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mainspring.features.service import FeatureService
from mainspring.kernel.errors import MainspringError
from mainspring.log.ingest import Ingest

log = logging.getLogger("mainspring.loop")


class Intake:
    """Takes in what gateways have spooled and what sources hold. Called by one thread at a time."""

    def __init__(self, features: FeatureService, ingest: Ingest) -> None:
        self._features = features
        self._ingest = ingest
        self._behind = False
        self._stuck_since_s: float | None = None  # since when no records could be taken in, by the machine's clock

    @property
    def lag_s(self) -> float:
        """Return for how long no records could be taken in."""
        return 0.0 if self._stuck_since_s is None else time.monotonic() - self._stuck_since_s

    def catch_up(self) -> None:
        """Feed the views what was stored and not fed, after a start."""
        self._features.catch_up()

    def records(self) -> int:
        """Take in all that gateways have spooled; return how many records there were."""
        try:
            records = self._all_records()
        except BaseException:
            self._stuck_since_s = self._stuck_since_s or time.monotonic()
            raise
        self._stuck_since_s = None
        return records

    def sources(self, project: str, now_us: int) -> None:
        """Read what files and queries of a project hold by now."""
        with self._storing():
            read = self._features.ingest(project, now_us, on_fault=_tell)
            self._features.feed(read)

    def _all_records(self) -> int:
        if self._behind:
            self._features.catch_up()
            self._behind = False
        records = 0
        while True:
            with self._storing():
                taken = self._ingest.run()
                if taken.sources:
                    self._features.feed(taken.sources)
            records += taken.records
            if taken.caught_up or not taken.records:
                return records

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Remember, if this fails, that rows may have been stored that were not fed."""
        try:
            yield
        except BaseException:
            self._behind = True
            raise


def _tell(fault: MainspringError) -> None:
    log.warning("a source was not read: %s", fault)
