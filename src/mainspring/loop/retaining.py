"""From when on the log of a model is kept: what was declared, and what a running release may still count."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mainspring.kernel.duration import DAY_US
from mainspring.log.retention import Keep, keep_from
from mainspring.registry.service import ModelRow
from mainspring.release.release import Release

_UNDECLARED_HORIZON_US = 60 * DAY_US  # of outcomes of models that say no time after which theirs mature


class Keeping(msgspec.Struct, frozen=True):
    """What the settings of a home say: None keeps for ever, and waits for twice the time that outcomes mature in."""

    predictions_us: int | None = None
    parked_us: int | None = None


def kept(row: ModelRow, running: Iterable[Release], keeping: Keeping, now_us: int) -> Keep:
    """Return from when on a model's rows are kept, and since when outcomes may wait for a prediction."""
    spec = row.spec
    keep_us = spec.keep_us if spec is not None and spec.keep_us is not None else keeping.predictions_us
    needed = [release.started_us - release.terms.horizon_us for release in running]
    matures_us = 2 * spec.outcome.matures_after_us if spec is not None else _UNDECLARED_HORIZON_US
    parked_us = keeping.parked_us if keeping.parked_us is not None else matures_us
    return Keep(keep_from(now_us, keep_us, *needed), now_us - parked_us)
