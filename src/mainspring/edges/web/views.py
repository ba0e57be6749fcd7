"""What the page shows, as plain values. Templates and drawings know these and nothing of services."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.edges.web.commands import Order
from mainspring.edges.web.policies import Declared, Strategy


class Again(msgspec.Struct, frozen=True):
    """One decision worked out again from the log; ``equal`` is empty where that cannot be told."""

    at_us: int
    kind: str
    reason: str
    equal: bool | None
    difference: str


class Reign(msgspec.Struct, frozen=True):
    """How long one version was champion, and why it became so. ``until_us`` is empty while it still is."""

    version: int | None
    since_us: int
    until_us: int | None = None
    reason: str = ""


class Point(msgspec.Struct, frozen=True):
    """What was known about a difference at one decision; ``waiting`` rows were asked about and not mature yet."""

    at_us: int
    lower: float
    upper: float
    estimate: float
    n: int
    waiting: int


class Evidence(msgspec.Struct, frozen=True):
    """One judged metric. Above 0 the challenger is worse; promoted once ``upper`` is below ``limit``.

    ``points`` are the intervals of past decisions, oldest first, of a release that lasts from ``since_us`` to
    ``until_us``. ``waiting`` counts rows that are not mature yet, ``least`` says how many must be. ``reach`` is how far
    up and down to draw, where several are to be compared; ``tone`` is the place of its challenger among several.
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
    until_us: int = 0
    over: bool = False
    least: int = 0
    reach: float | None = None
    tone: int = 0


class Step(msgspec.Struct, frozen=True):
    """One step of a release's way."""

    label: str
    state: Literal["done", "now", "stopped", "ahead"]


class Decision(msgspec.Struct, frozen=True):
    """One decision in words, with the numbers it was made on; taken so many ``times`` in a row from ``since_us``.

    ``ledger`` is the number of its entry; waiting has none.
    """

    at_us: int
    kind: str
    verdict: str
    reason: str
    numbers: dict[str, Any] = {}
    times: int = 1
    since_us: int = 0
    ledger: int | None = None


class Share(msgspec.Struct, frozen=True):
    """From when on challengers answered for which shares of units: names and shares, always in the same order."""

    at_us: int
    arms: tuple[tuple[str, float], ...]

    @property
    def share(self) -> float:
        return sum(share for _, share in self.arms)


class Rewards(msgspec.Struct, frozen=True):
    """What the answers of one version earned: units with a reward in time, without one, and those that still wait."""

    mean: float
    n: int
    missing: int
    pending: int


class Contender(msgspec.Struct, frozen=True):
    """One of several challengers, or the champion, with its share and what became of it.

    ``evidence`` is what promotion needs of it, ``guards`` all else that was measured; ``tone`` is its place.
    """

    name: str
    version: str
    share: float | None
    status: str
    reason: str
    champion: bool = False
    tone: int = 0
    evidence: tuple[Evidence, ...] = ()
    guards: tuple[Evidence, ...] = ()
    rewards: Rewards | None = None
    leads: bool = False


class Fact(msgspec.Struct, frozen=True):
    """One thing that whoever is on call looks for first."""

    name: str
    words: str
    more: str = ""
    alert: bool = False


class Row(msgspec.Struct, frozen=True):
    """One row that both versions answered: what was asked, both answers, and what came true."""

    prediction: str
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

    ``others`` is how many more challengers there are, ``ahead`` the shares that it has still to go through. ``changes``
    are the moments at which something else than waiting was decided; ``facts`` what to look at first. ``won`` is the
    one of several challengers that goes on alone; ``rewarded``: shares follow what each version earns.
    """

    id: str
    project: str
    model: str
    challenger: str
    champion: str
    challenger_id: str
    champion_id: str
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
    changes: tuple[tuple[int, str], ...] = ()
    facts: tuple[Fact, ...] = ()
    won: str = ""
    rewarded: bool = False
    more_decisions: int = 0
    to_sign: bool = False
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
    points: tuple[Window, ...] = ()
    limit: float | None = None
    updated_us: int | None = None


class Window(msgspec.Struct, frozen=True):
    """One window that a monitor judged: its end, its value, and the evidence against "all is well"."""

    at_us: int
    value: float
    evidence: float


class Alarm(msgspec.Struct, frozen=True):
    """One alarm."""

    id: str
    project: str
    model: str
    monitor: str
    since_us: int
    words: str
    acknowledged_by: str = ""
    acknowledged: str = ""
    closed_us: int | None = None
    closed: str = ""
    numbers: dict[str, Any] = {}


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger; ``about`` says what was changed in words, ``page`` where that is shown."""

    seq: int
    at_us: int
    actor: str
    kind: str
    subject: str
    reason: str
    numbers: dict[str, Any] = {}
    about: str = ""
    page: str = ""


class Ledger(msgspec.Struct, frozen=True):
    """Some of the ledger, the newest first: all, of one kind, or about one thing; ``older`` is where the rest is."""

    entries: tuple[Entry, ...]
    kind: str = ""
    subject: str = ""
    older: int | None = None
    cut: bool = False


class WholeEntry(msgspec.Struct, frozen=True):
    """One entry with its hash and the one before it; ``time`` is its moment as ``ledger at`` takes it."""

    line: Entry
    hash: str
    previous: str
    time: str


class Proof(msgspec.Struct, frozen=True):
    """What came of verifying the chain, and its head, to be kept elsewhere."""

    verified: bool
    words: str
    entries: int
    head: str


class Answer(msgspec.Struct, frozen=True):
    """What one version said to one row."""

    version: str
    page: str
    role: str
    status: str
    output: Any
    decision: str
    latency_us: int | None
    features: dict[str, Any] = {}
    reason: str = ""


class Asked(msgspec.Struct, frozen=True):
    """One row of a prediction: what was asked, where it was drawn, all answers, and what came true."""

    row: int
    entity: str
    unit: str
    body: dict[str, Any]
    erased: bool
    drawn: str
    release: str
    propensity: float | None
    draw: float | None
    answers: tuple[Answer, ...]
    outcomes: tuple[dict[str, Any], ...] = ()


class Prediction(msgspec.Struct, frozen=True):
    """One prediction; ``time`` is its moment as ``ledger at`` takes it."""

    id: str
    project: str
    model: str
    at_us: int
    time: str
    acknowledgement: str
    caller: str
    rows: tuple[Asked, ...]
    more_rows: int = 0


class PredictionLine(msgspec.Struct, frozen=True):
    """One prediction in a list, by its first row."""

    id: str
    at_us: int
    rows: int
    entity: str
    caller: str


class Replay(msgspec.Struct, frozen=True):
    """What came of answering again; ``rows`` are row, then, again, and whether the bytes are equal."""

    id: str
    model: str
    version: int
    equal: bool
    erased: bool
    difference: str
    rows: tuple[tuple[int, Any, Any, bool], ...] = ()


class VersionLine(msgspec.Struct, frozen=True):
    """One version in a list."""

    id: str
    number: int
    runtime: str
    recipe: str
    created_us: int
    digest: str
    metrics: dict[str, float | None] = {}
    champion: bool = False
    checks: str = ""
    blocked: bool = False


class Check(msgspec.Struct, frozen=True):
    """What one check found."""

    name: str
    status: str
    reason: str
    numbers: dict[str, Any] = {}
    overridden: str = ""


class WholeVersion(msgspec.Struct, frozen=True):
    """One version with what it was made of and where it runs."""

    project: str
    model: str
    model_id: str
    line: VersionLine
    runs: str
    facts: tuple[Fact, ...]
    checks: tuple[Check, ...] = ()
    parts: dict[str, dict[str, Any]] = {}
    entries: tuple[Entry, ...] = ()


class Worth(msgspec.Struct, frozen=True):
    """What a version would have been worth had it answered all, or why that cannot be told."""

    sentence: str
    numbers: dict[str, Any] = {}
    low: float | None = None
    estimate: float | None = None
    high: float | None = None
    logged: float | None = None


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
    """The whole page; ``first`` is what to look at first, ``glance`` the home at a glance."""

    home: str
    now_us: int
    simulated: bool
    first: tuple[str, ...]
    glance: tuple[Fact, ...]
    stations: tuple[Station, ...]
    models: tuple[Model, ...]
    alarms: tuple[Alarm, ...]
    entries: tuple[Entry, ...]
