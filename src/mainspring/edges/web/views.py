"""What the page shows, as plain values. Templates and drawings know these and nothing of services."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.edges.web.commands import Order
from mainspring.edges.web.policies import Declared, Strategy


class Reign(msgspec.Struct, frozen=True):
    """How long one version was champion, and why it became so. ``until_us`` is empty while it still is."""

    version: int | None
    since_us: int
    until_us: int | None = None
    reason: str = ""


class Point(msgspec.Struct, frozen=True):
    """What was known about a difference at one decision."""

    at_us: int
    lower: float
    upper: float


class Evidence(msgspec.Struct, frozen=True):
    """One judged metric. Above 0 the challenger is worse; promoted once ``upper`` is below ``limit``.

    ``points`` are the intervals of past decisions, oldest first, of a release that began at ``since_us``. ``waiting``
    counts rows that are not mature yet.
    """

    name: str
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float | None
    n: int
    waiting: int
    words: str = ""
    state: Literal["good", "bad", "open"] = "open"
    unit: str = "matured"
    points: tuple[Point, ...] = ()
    since_us: int = 0


class Step(msgspec.Struct, frozen=True):
    """One step of a release's way."""

    label: str
    state: Literal["done", "now", "stopped", "ahead"]


class Decision(msgspec.Struct, frozen=True):
    """One decision in words, with the numbers it was made on; taken so many ``times`` in a row from ``since_us``."""

    at_us: int
    kind: str
    verdict: str
    reason: str
    numbers: dict[str, Any] = {}
    times: int = 1
    since_us: int = 0


class Share(msgspec.Struct, frozen=True):
    """From when on challengers answered for which shares of units: names and shares, always in the same order."""

    at_us: int
    arms: tuple[tuple[str, float], ...]

    @property
    def share(self) -> float:
        return sum(share for _, share in self.arms)


class Contender(msgspec.Struct, frozen=True):
    """One of several challengers, or the champion, with its share and what became of it."""

    name: str
    share: float | None
    status: str
    reason: str
    numbers: dict[str, Any] = {}
    champion: bool = False


class Row(msgspec.Struct, frozen=True):
    """One row that both versions answered: what was asked, both answers, and what came true."""

    entity: str
    asked: dict[str, Any]
    champion: float | str
    challenger: float | str
    difference: float
    outcome: float | str | None


class Slice(msgspec.Struct, frozen=True):
    """How far both versions' answers are apart on one part of the rows."""

    name: str
    rows: int
    mean: float
    mean_absolute: float
    largest: float


class Chance(msgspec.Struct, frozen=True):
    """How often plays ended in one way, with the simulation's own 95 % interval."""

    name: str
    share: float
    low: float
    high: float


class Spread(msgspec.Struct, frozen=True):
    """How something is spread over plays, and what ``happened`` when it was done."""

    name: str
    p10: float
    median: float
    p90: float
    most: float
    happened: float | None = None


class Rehearsal(msgspec.Struct, frozen=True):
    """One rehearsal; ``given`` says of which rows it speaks, ``ended`` and ``happened`` how the release itself went."""

    id: str
    at_us: int
    by: str
    reason: str
    challenger: str
    champion: str
    policy: str
    chances: tuple[Chance, ...]
    given: str
    injected: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    spreads: tuple[Spread, ...] = ()
    reasons: dict[str, int] = {}
    happened: str = ""
    ended: str = ""
    same_policy: bool = True


class Release(msgspec.Struct, frozen=True):
    """One release, running or ended. ``shares`` are its changes of share, oldest first; ``orders`` what may be said.

    ``others`` is how many more challengers there are, ``ahead`` the shares that it has still to go through.
    """

    id: str
    project: str
    model: str
    challenger: str
    champion: str
    others: int
    stage: str
    share: float
    status: str
    running: bool
    since_us: int
    deadline_us: int | None = None
    steps: tuple[Step, ...] = ()
    ahead: tuple[float, ...] = ()
    immature: int = 0
    evidence: tuple[Evidence, ...] = ()
    decisions: tuple[Decision, ...] = ()
    policy: dict[str, Any] = {}
    words: str = ""
    ended_us: int | None = None
    shares: tuple[Share, ...] = ()
    orders: tuple[Order, ...] = ()
    told: tuple[str, ...] = ()
    contenders: tuple[Contender, ...] = ()
    sample: tuple[Row, ...] = ()
    slices: tuple[Slice, ...] = ()
    approved: str = ""
    change: Order | None = None
    changeable: Strategy | None = None
    rehearsed: Rehearsal | None = None


class Monitor(msgspec.Struct, frozen=True):
    """One monitor. ``matured`` of ``total`` rows stand behind its number; ``level`` is value over limit, at most 1."""

    name: str
    kind: str
    state: Literal["quiet", "alarm", "insufficient"]
    words: str
    matured: int | None = None
    total: int | None = None
    level: float | None = None
    points: tuple[float, ...] = ()


class Alarm(msgspec.Struct, frozen=True):
    """One alarm."""

    id: str
    project: str
    model: str
    monitor: str
    since_us: int
    words: str
    acknowledged_by: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger."""

    seq: int
    at_us: int
    actor: str
    kind: str
    subject: str
    reason: str
    numbers: dict[str, Any] = {}


class VersionLine(msgspec.Struct, frozen=True):
    """One version in a list."""

    number: int
    runtime: str
    recipe: str
    created_us: int
    digest: str
    metrics: dict[str, float | None] = {}
    champion: bool = False
    checks: str = ""
    blocked: bool = False


class Model(msgspec.Struct, frozen=True):
    """One model at a glance."""

    id: str
    project: str
    name: str
    task: str
    champion: int | None
    champion_since_us: int | None
    reigns: tuple[Reign, ...] = ()
    releases: tuple[Release, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    versions: tuple[VersionLine, ...] = ()
    predictions: int = 0
    outcomes: int = 0
    start: tuple[Order, ...] = ()
    policies: Declared | None = None
    rehearsals: tuple[Rehearsal, ...] = ()


class Station(msgspec.Struct, frozen=True):
    """One part of the loop with its number."""

    name: str
    number: str
    words: str
    alert: bool = False


class Loop(msgspec.Struct, frozen=True):
    """The whole page."""

    home: str
    now_us: int
    simulated: bool
    stations: tuple[Station, ...]
    models: tuple[Model, ...]
    alarms: tuple[Alarm, ...]
    entries: tuple[Entry, ...]
    verified: str = ""
