"""When a release is expected to be decided, told from the sources alone: before anything was ever predicted."""

from __future__ import annotations

from mainspring.project.manifest import ModelEntry
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.evidence.losses import CLASSIFYING
from mainspring.release.outlook import DIFFERENCE_SHARE, Past, forecast, loss_of
from mainspring.release.policy import Policy
from mainspring.release.policy.outline import outline

SHARE_OF_BOUND = 0.25  # of a bounded loss, taken as its standard deviation until it was seen
LOG_LOSS_SD = 0.5


def expectation(entry: ModelEntry, policy: Policy, rows_per_day: float | None) -> Forecast:
    """Return a forecast that takes each row of the training source for a request and each outcome as known in time."""
    fixed = loss_of(outline(policy))
    spread = LOG_LOSS_SD if fixed.metric in CLASSIFYING else None
    if spread is None and fixed.bound is not None:
        spread = fixed.bound * SHARE_OF_BOUND
    past = Past(
        horizon_us=entry.spec.outcome.matures_after_us,
        loss=fixed,
        rows_per_day=rows_per_day,
        labelled_share=1.0,
        loss_variance=None if spread is None else spread**2,
        difference_variance=None if spread is None else spread**2 * DIFFERENCE_SHARE,
    )
    return forecast(policy, past, affected=entry.spec.outcome.affected_by_answer)
