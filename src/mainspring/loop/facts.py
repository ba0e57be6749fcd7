"""What the plan looks at: one value a model, read from the store in one go."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.duration import DAY_US

RetrainingState = Literal["proposed", "worthwhile", "trained", "checked", "releasing", "finished", "dropped"]
OPEN_STATES: tuple[RetrainingState, ...] = ("proposed", "worthwhile", "trained", "checked", "releasing")


class RetrainRule(msgspec.Struct, frozen=True):
    """When to retrain: once the champion is ``every_us`` old, or on an alarm in ``on``; not within ``cooldown_us``.

    A candidate that did not become champion leaves the champion old, so another one follows after the cooldown.
    """

    every_us: int | None
    on: tuple[str, ...]
    cooldown_us: int
    backtest_origins: int


class Retraining(msgspec.Struct, frozen=True):
    """One retraining on its way from a proposal to a release."""

    id: str
    trigger: str
    state: RetrainingState
    proposed_us: int
    version: str | None = None
    release: str | None = None


class ModelFacts(msgspec.Struct, frozen=True):
    """One model as it stands. Times are domain time in microseconds; None where it never happened."""

    model: str
    name: str
    project: str
    champion: str | None
    champion_since_us: int | None
    rule: RetrainRule | None = None
    retraining: Retraining | None = None
    last_proposed_us: int | None = None
    alarms: tuple[tuple[str, int], ...] = ()  # (kind, opened_us) of open alarms
    running: tuple[str, ...] = ()  # ids of running releases
    checked: bool | None = None  # the retraining's version: passed, failed, or not checked yet
    release_over: bool = False  # the retraining's release has ended
    evaluated_us: int | None = None
    busy: bool = False  # a job for this model is under way


class ProjectFacts(msgspec.Struct, frozen=True):
    """One project: when its files and queries were read last."""

    project: str
    read_us: int | None = None


class Facts(msgspec.Struct, frozen=True):
    """Everything the plan may know."""

    models: tuple[ModelFacts, ...]
    projects: tuple[ProjectFacts, ...] = ()
    read_every_us: int = 900_000_000
    evaluate_every_us: int = DAY_US
    published_us: int | None = None  # when the log was published last, 0 if it is not known; None where it is not
    publish_every_us: int = 60_000_000
    retained_us: int | None = None  # when rows that are kept no longer were let go last, 0 if it is not known
