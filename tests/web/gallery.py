"""A home with a release of every strategy and at every end; its rows are written as the log keeps them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import polars as pl
from sqlalchemy import update

from mainspring.adapters.home import create_home
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.schema import Column, Signature
from mainspring.ledger.queries import entries
from mainspring.log.parts import list_parts, span_of
from mainspring.log.rows import SCHEMAS
from mainspring.log.tally import add_tallies, tallies_of
from mainspring.monitoring.spec import Silence
from mainspring.platform import open_platform
from mainspring.project.rows import undeclared_model
from mainspring.registry.environment import capture
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe
from mainspring.registry.tables import models
from mainspring.registry.version import Lineage, Version
from mainspring.release.policy import (
    ABTest,
    Approval,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Immediate,
    Shadow,
)
from mainspring.release.rehearsal.service import Asked
from mainspring.serving.draw import assign, probabilities
from mainspring.serving.routing import ArmRoute, ReleaseRoute

HARM = (
    "\"'><img src=x onerror=window.hit=1><svg onload=window.hit=1><script>window.hit=1<!-- javascript:window.hit=1 "
    "{{ 7 * 7 }} \u202eevil\u2066\x07"
)
START = datetime(2013, 3, 1, tzinfo=UTC)
QUICK: dict[str, Any] = {"shadow": "8d", "margin": 0.05, "hold": "12h", "minimum_units": 300}


class Shop:
    """Models of a shop with their traffic; ``words`` stands wherever a user may name or write something."""

    def __init__(self, root: Path, *, rows_a_day: int = 600, words: str = "") -> None:
        self.platform = open_platform(create_home(root, simulated_from=START))
        self.clock = SimulatedClock(root / "clock", writable=True)
        self.random = np.random.default_rng(5)
        self.rows_a_day = rows_a_day
        self.words = words
        self.noise: dict[str, tuple[float, float, float]] = {}
        self.count = 0

    def model(self, name: str, *, paired: bool = True, release: Any = None) -> str:
        """Declare a model; ``paired``: its answers do not change what comes true."""
        recipe = f"default{self.words}"
        spec = ModelSpec(
            name=f"{name}{self.words}",
            task="binary",
            entity="order_id",
            source="orders",
            predict_at=PredictAt("placed_at"),
            outcome=OutcomeSpec("returned", "orders", 36 * 3_600_000_000, affected_by_answer=not paired),
            recipes=(Recipe(recipe, "project:train"),),
            columns=(Column("order_id", "str"), Column("kind", "str")),
        )
        with self.platform.store.begin(f"ana{self.words}") as tx:
            id = undeclared_model(tx, f"shop{self.words}", spec.name)
            values = {"spec": _json(spec), "release": _json(release) if release else None}
            tx.connection.execute(update(models).where(models.c.id == id).values(**values))
            tx.record("model.declared", id, f"a model to look at{self.words}", {"unit": self.words}, project="")
        return id

    def version(self, model: str, sd: float, *, bias: float = 0.0, worth: float = 0.0, recipe: str = "default") -> str:
        """Register a version that sees the true chance through noise; ``worth`` is what its answers change."""
        made = Version(
            id="",
            model=model,
            number=0,
            runtime="onnx",
            files={"model.onnx": self.platform.blobs.put(f"{model} {sd} {bias} {worth} {self.count}".encode())},
            signature=Signature("binary", (Column("kind", "str"),)),
            environment=capture([]),
            lineage=Lineage(recipe=f"{recipe}{self.words}"),
            metrics={f"log_loss{self.words}": 0.42 + sd / 20},
        )
        self.count += 1
        with self.platform.store.begin("trainer") as tx:
            stored = self.platform.registry.register(tx, made, f"trained{self.words}")
        for result in self.platform.checks.run(stored.id, by="loop"):
            if result.blocks:
                reason = f"nothing was held out{self.words}"
                self.platform.checks.override(stored.id, result.name, by=f"ana{self.words}", reason=reason)
        self.noise[stored.id] = (sd, bias, worth)
        return stored.id

    def champion(self, model: str, sd: float = 0.3) -> str:
        version = self.version(model, sd)
        by, reason = f"ana{self.words}", f"the first one{self.words}"
        self.platform.releases.first_champion(model, version, by=by, reason=reason)
        return version

    def start(self, model: str, policy: Any, *versions: str) -> Any:
        first, *others = versions
        by, reason = f"ana{self.words}", f"it is time{self.words}"
        return self.platform.releases.start(model, first, policy, by=by, reason=reason, others=others)

    def rehearse(self, model: str, version: str, policy: Any, from_us: int, *, plays: int = 40) -> None:
        """Play a release on rows that all versions have scored."""
        asked = Asked(from_us, self.clock.now_us(), policy, plays)
        by, reason = f"ana{self.words}", f"before anybody meets it{self.words}"
        self.platform.rehearsals.rehearse(model, [version], asked, by=by, reason=reason)

    def silence(self, model: str) -> None:
        """Let a day pass without traffic, and a monitor miss it."""
        with self.platform.store.bookkeeping() as connection:
            connection.execute(update(models).where(models.c.id == model).values(monitors=_json([Silence()])))
        self.clock.advance(self.clock.now() + timedelta(days=1))
        self.platform.monitoring.evaluate(model)

    def play(self, days: float, *only: str, turn_h: float = 12.0, disabled: dict[str, str] | None = None) -> None:
        """Let time pass in turns: traffic of the models named, then a step of each of their releases."""
        end = self.clock.now() + timedelta(days=days)
        while self.clock.now() < end:
            begun_us = self.clock.now_us()
            running = {model: self.platform.releases.running(model) for model in only}
            self.clock.advance(min(self.clock.now() + timedelta(hours=turn_h), end))
            for model, releases in running.items():
                self.traffic(model, begun_us, self.clock.now_us(), releases)
                for release in releases:
                    self.platform.releases.step(release.id, disabled=disabled)

    def traffic(self, model: str, begun_us: int, until_us: int, releases: Sequence[Any]) -> None:
        n = max(1, round(self.rows_a_day * (until_us - begun_us) / 86_400_000_000))
        at = np.linspace(begun_us + 1, until_us, n).astype(np.int64)
        chance = np.clip(self.random.beta(1.2, 3.8, n), 0.01, 0.99)
        entities = [f"o{self.count + place}{self.words}" for place in range(n)]
        self.count += n
        ids = [f"p-{entity}" for entity in entities]
        champion = self.platform.registry.alias(model, "champion")
        assert champion is not None
        drawing = next((one for one in releases if one.share > 0), None)
        route = _route(drawing) if drawing else None
        drawn = [assign(route, champion.id, entity) for entity in entities]
        arms = np.array([one.arm for one in drawn])
        shadows = {version for one in releases for version in one.shadows}
        shadows |= {champion.id} if drawing and drawing.shadows else set()
        actions = _json(probabilities(route, champion.id)) if route is not None and route.others else ""
        kinds = [f"{('book', 'lamp', 'chair')[place % 3]}{self.words}" for place in range(n)]
        bodies = [_json({"order_id": one, "kind": kind}) for one, kind in zip(entities, kinds, strict=True)]
        one = {"prediction_id": ids, "row": 0, "model": model}
        asked = {"entity": entities, "unit": entities, "decision_us": at, "receipt_us": at, "body": bodies}
        self.put("requests", pl.DataFrame({**one, **asked}))
        draws = {"draw": [one.draw for one in drawn], "arm": arms, "propensity": [one.propensity for one in drawn]}
        told = {"release": drawing.id if drawing else "", "epoch": 1, "generation": 1, "salt": "", "actions": actions}
        self.put("assignments", pl.DataFrame({**one, **told, **draws, "decision_us": at}))
        for version in sorted({champion.id, *shadows, *arms}, key=list(self.noise).index):
            self.scored(
                version,
                chance,
                pl.DataFrame({**one, "decision_us": at, "release": told["release"]}),
                arms == version,
                version in shadows,
            )
        worth = np.array([self.noise[arm][2] for arm in arms])
        came = {"value": (self.random.random(n) < np.clip(chance + worth, 0, 1)).astype(float)}
        known = at + (self.random.gamma(4.0, 1.2, n) * 3_600_000_000).astype(np.int64)
        self.put(
            "outcomes", pl.DataFrame({"model": model, "entity": entities, **came, "event_us": known, "known_us": known})
        )

    def scored(self, version: str, chance: Any, rows: pl.DataFrame, served: Any, shadow: bool) -> None:
        sd, bias, _ = self.noise[version]
        odds = np.log(chance / (1 - chance)) + bias + sd * self.random.standard_normal(len(chance))
        role, kept = (
            np.where(served, "served", "shadow"),
            np.flatnonzero(np.ones(len(served), bool) if shadow else served),
        )
        said = rows.with_columns(
            version=pl.lit(version),
            role=pl.Series(role),
            status=pl.lit("ok"),
            output=pl.Series(1 / (1 + np.exp(-odds))),
            latency_us=100,
            generation=1,
            reason=pl.lit(""),
        )
        if len(kept):
            self.put("scored", said[kept.tolist()])

    def put(self, table: str, frame: pl.DataFrame) -> None:
        missing = [pl.lit(None, kind).alias(name) for name, kind in SCHEMAS[table].items() if name not in frame.columns]
        rows = frame.with_columns(missing).select([pl.col(name).cast(kind) for name, kind in SCHEMAS[table].items()])
        part = self.platform.tables.write(table, rows)
        with self.platform.store.bookkeeping() as connection:
            list_parts(connection, [(part, span_of(table, rows))], 0)
            add_tallies(connection, tallies_of(table, rows))


def places(shop: Shop, ends: dict[str, str]) -> dict[str, str]:
    """Return the paths of the pages of all that the shop holds, by what they show."""
    platform = shop.platform
    models = {row.name.removesuffix(shop.words): row for row in platform.registry.models()}
    asked = platform.log.requests(models["arms"].id, since_us=shop.clock.now_us() - 200 * 3_600_000_000)
    prediction = f"/predictions/{quote(asked['prediction_id'][-1], safe='')}"
    drawn, shadowed = (platform.registry.versions(models[name].id)[2] for name in ("arms", "contenders"))
    (alarm,) = platform.monitoring.alarms()
    (rehearsal,) = platform.rehearsals.kept.list(models["canary"].id, newest=1)
    named = f"{quote(models['arms'].project_name, safe='')}/{quote(models['arms'].name, safe='')}"
    return {
        **{name: f"/releases/{id}" for name, id in ends.items()},
        "sign_off_rows": f"/releases/{ends['sign_off']}/sample",
        "loop": "/", "alarms": "/alarms", "alarm": f"/alarms/{alarm.id}", "ledger": "/ledger",
        "entry": f"/ledger/{_overridden(shop)}", "proof": "/ledger/verify", "at": "/ledger/at/2013-03-10T12%3A00Z",
        "predictions": f"/models/{named}/predictions", "prediction": prediction, "replay": f"{prediction}/replay",
        "version": f"/versions/{drawn.id}", "worth_untold": f"/versions/{shadowed.id}/worth",
        "rehearsal": f"/rehearsals/{rehearsal.id}", "missing": f"/models/shop/{quote(shop.words, safe='')}",
    }  # fmt: skip


def _route(release: Any) -> ReleaseRoute:
    (first, share), *others = release.shares
    arms = tuple(ArmRoute(version, own) for version, own in others)
    return ReleaseRoute(release.id, release.epoch, release.salt, first, share, others=arms)


def _overridden(shop: Shop) -> int:
    """Return the number of an entry whose actor, reason and numbers are all a user's words."""
    with shop.platform.store.read() as connection:
        return entries(connection, kind="check.overridden", limit=1)[0].seq


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def fill(shop: Shop) -> dict[str, str]:
    """Fill the shop with a release of each kind; return their ids by what they show."""
    quick = Canary(steps=(0.1, 0.5), **QUICK)
    asks = Shadow(shadow="20d", slices=("kind",), approval=Approval(role="risk"), margin=0.05, minimum_units=300)

    canary, sudden, vague = shop.model("canary"), shop.model("sudden"), shop.model("vague")
    blue, sign = shop.model("blue"), shop.model("sign-off")
    drawn, arms, contest = shop.model("drawn", paired=False), shop.model("arms", paired=False), shop.model("contest")
    contenders = shop.model("contenders")
    every = (canary, sudden, vague, blue, sign, drawn, arms, contest, contenders)
    for model in every:
        shop.champion(model)
    shown_first = shop.version(canary, 0.25)
    looked_at = shop.start(canary, Shadow(shadow="20d", shadow_at_least="20d"), shown_first)
    begun_us = shop.clock.now_us()
    unsure = Canary(shadow="3d", margin=0.001, hold="12h", deadline="4d", minimum_units=300)
    unclear = shop.start(vague, unsure, shop.version(vague, 0.35))
    shop.play(5, *every)
    shop.platform.releases.abort(looked_at.id, by=f"ana{shop.words}", reason=f"seen enough{shop.words}")
    shop.rehearse(canary, shown_first, quick, begun_us)
    ends = {
        "contest": shop.start(
            contest, ChampionChallenger(steps=(0.1, 0.5), **QUICK),
            *(shop.version(contest, sd, bias=bias) for sd, bias in ((0.25, 0.0), (0.3, 0.0), (0.6, 1.4))),
        ),
        "contenders": shop.start(
            contenders, ChampionChallenger(steps=(0.1, 0.5), **{**QUICK, "margin": 0.01, "shadow": "20d"}),
            *(shop.version(contenders, sd, bias=bias) for sd, bias in ((0.3, 0.0), (0.25, 0.0), (0.6, 1.4))),
        ),
        "ab_test": shop.start(
            drawn, ABTest(share=0.5, horizon="28d", window="1d", margin=0.0), shop.version(drawn, 0.3, worth=0.02)
        ),
        "bandit": shop.start(
            arms, Bandit(update="12h", floor=0.05, horizon="28d", window="0s"),
            *(shop.version(arms, 0.3, worth=worth) for worth in (0.12, 0.04, -0.05)),
        ),
        "canary": shop.start(canary, quick, shown_first),
        "sign_off": shop.start(sign, asks, shop.version(sign, 0.25)),
    }  # fmt: skip
    shop.play(4, *every)
    tripped = shop.version(sudden, 0.3)
    ends["tripwire"] = shop.start(sudden, quick, tripped)
    ends["blue_green"] = shop.start(blue, BlueGreen(keep="5d"), shop.version(blue, 0.25))
    shop.play(2, *every)
    reason = f"12 of 20 requests failed{shop.words}"
    shop.play(0.5, sudden, disabled={tripped: reason})
    shop.play(0.5, *every)
    ends["immediate"] = shop.start(sudden, Immediate(), shop.version(sudden, 0.2))
    ends["empty"] = shop.start(vague, quick, shop.version(vague, 0.25))
    shop.model("untouched")
    shop.silence(canary)
    ends["inconclusive"] = unclear
    return {name: release.id for name, release in ends.items()}
