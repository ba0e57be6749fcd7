"""What a release starts on: which versions may take part, against whom, and on which terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict, InvalidInput, Refused
from mainspring.kernel.ids import new_id
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import ANCHOR, CHAMPION
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.release.engine import Contender, State
from mainspring.release.evidence.asymptotic import PLANNED_UNITS
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.evidence.losses import Loss
from mainspring.release.family import divisor
from mainspring.release.outlook import Past, Setting, check_judges_outcome, forecast, look_back, terms_of, window_of
from mainspring.release.policy import Bandit, ChampionChallenger, Policy
from mainspring.release.records import Records
from mainspring.release.release import Record
from mainspring.release.terms import Terms, planned

_SHADOWS = 200  # how many of the newest releases are asked what a recipe's shadow has shown
MOST_CHALLENGERS = 100


class Agreements:
    """Checks what is to be released and fixes its terms; changes nothing."""

    def __init__(
        self,
        *,
        registry: Registry,
        log: PredictionLog,
        records: Records,
        clock: Clock,
        passed: Callable[[str], bool] | None,
    ) -> None:
        self._registry = registry
        self._log = log
        self._records = records
        self._clock = clock
        self._passed = passed

    def check_none(self, model: ModelRow) -> None:
        """Refuse a first champion where there is one."""
        if self._registry.alias(model.id, CHAMPION) is not None:
            raise Conflict("has a champion already", field="model", value=model.name, remedy="start a release")

    def champion_to_beat(self, model: ModelRow, challengers: Sequence[Version], champion: Version | None) -> Version:
        """Return the champion, if a release of the challengers against it may start."""
        for challenger in challengers:
            self.check_fit(model, challenger)
        if champion is None:
            raise Refused("has no champion yet", field="model", value=model.name, remedy="make a first champion")
        there = {id: record.id for record in self._records.list(model.id, True) for id in challengers_of(record)}
        for challenger in challengers:
            if champion.id == challenger.id:
                raise Conflict("is the champion already", field="version", value=challenger.number)
            if challenger.id in there:
                raise Conflict(
                    "is in a running release", field="version", value=challenger.number,
                    remedy=f"see {there[challenger.id]}",
                )  # fmt: skip
        return champion

    def check_fit(self, model: ModelRow, version: Version) -> None:
        """Refuse a version of another model, and one that has not passed its checks."""
        if version.model != model.id:
            raise InvalidInput("belongs to another model", field="version", value=version.number)
        if self._passed is not None and not self._passed(version.id):
            raise Refused(
                "has not passed its checks", field="version", value=version.number,
                remedy=f"run them with: mainspring check {model.name} {version.number}; a person may override one",
            )  # fmt: skip

    def record(
        self, model: ModelRow, versions: Sequence[Version], champion: Version, policy: Policy, by: str, reason: str
    ) -> Record:
        """Return a release that starts now, its terms fixed."""
        now_us = self._clock.now_us()
        challenger = versions[0]
        anchor = self._anchor(model.id, champion, versions)
        terms, expected = self._terms(model, versions, champion, policy, anchor)
        several = isinstance(policy, Bandit | ChampionChallenger)
        contenders = tuple(Contender(version.id, version.number) for version in versions) if several else ()
        return Record(
            id=new_id("rel"),
            project=model.project,
            model=model.id,
            model_name=model.name,
            challenger=challenger.id,
            challenger_number=challenger.number,
            champion=champion.id,
            champion_number=champion.number,
            anchor=anchor,
            recipe=challenger.lineage.recipe,
            policy=policy,
            terms=terms,
            state=State(started_us=now_us, stage_since_us=now_us, contenders=contenders),
            by=by,
            reason=reason,
            salt_base=f"{model.project_name}/{model.name}/{challenger.number}/{now_us}",
            forecast=expected,
        )

    def _terms(
        self, model: ModelRow, versions: Sequence[Version], champion: Version, policy: Policy, anchor: str | None
    ) -> tuple[Terms, Forecast]:
        check_judges_outcome(policy, model.spec)
        shared = divisor(self._running(model)) * len(versions)
        recipe, count = versions[0].lineage.recipe, len(versions)
        past, expected = self.outlook(model, policy, champion, recipe, shared, contenders=count)
        _check_decidable(expected)
        setting = Setting(_kind(versions, champion), anchor is not None, shared, count)
        return terms_of(policy, model.spec, past, setting), expected

    def check_decidable(
        self, model: ModelRow, version: Version, champion: Version, policy: Policy, *, beside: int
    ) -> None:
        """Refuse a release that could not decide by its deadline ``beside`` so many more than those that run."""
        running = self._running(model)
        for _ in range(beside):
            running.append(divisor(running))
        _check_decidable(self.outlook(model, policy, champion, version.lineage.recipe, divisor(running))[1])

    def _running(self, model: ModelRow) -> list[int]:
        """Return by what each running release that needs evidence divides the error, its contenders aside."""
        judged = [record for record in self._records.list(model.id, True) if record.terms.judged]
        return [record.terms.challengers // max(len(record.state.contenders), 1) for record in judged]

    def check_place(self, model: ModelRow, record: Record) -> None:
        """Refuse a release beside which another has taken its place since its terms were fixed."""
        if record.terms.challengers != divisor(self._running(model)) * max(len(record.state.contenders), 1):
            raise Conflict("another release began or ended meanwhile", field="release", remedy="start it again")

    def agreed(
        self, model: ModelRow, challengers: Sequence[Version], champion: Version, policy: Policy, at_us: int
    ) -> tuple[Terms, Forecast, str | None]:
        """Return the terms on which a release alone would have started at a moment, its forecast, and its anchor."""
        anchor, count = self._anchor(model.id, champion, challengers), len(challengers)
        past, expected = self.outlook(
            model, policy, champion, challengers[0].lineage.recipe, count, contenders=count, at_us=at_us
        )
        setting = Setting(_kind(challengers, champion), anchor is not None, count, count)
        return terms_of(policy, model.spec, past, setting), expected, anchor

    def outlook(
        self,
        model: ModelRow,
        policy: Policy,
        champion: Version | None,
        recipe: str,
        challengers: int = 1,
        *,
        contenders: int = 1,
        at_us: int | None = None,
    ) -> tuple[Past, Forecast]:
        """Return what the log knows, and when a release by the policy would be decided.

        ``challengers`` divide the error of a promotion, of which this release compares ``contenders``.
        """
        now_us = self._clock.now_us() if at_us is None else at_us
        past = look_back(self._log, model.id, model.spec, policy, champion.id if champion else None, now_us)
        known = self._known_variance(model.id, past.loss, recipe, now_us)
        if known is not None and past.difference_variance is not None:
            past = msgspec.structs.replace(past, difference_variance=known)
        affected = model.spec.outcome.affected_by_answer if model.spec is not None else True
        window_us = window_of(policy, model.spec)
        found = forecast(
            policy, past, affected=affected, window_us=window_us, challengers=challengers, contenders=contenders
        )
        return past, found

    def _known_variance(self, model_id: str, loss: Loss, recipe: str, at_us: int) -> float | None:
        """Return the variance that the last shadow of the same recipe had shown by then."""
        for record in reversed(
            [
                one
                for one in self._records.list(model_id, None, newest=_SHADOWS)
                if one.recipe == recipe and one.state.started_us < at_us
            ]
        ):
            gate = record.terms.gate("quality")
            stream = self._records.books(record.id).books.streams.get("quality")
            alike = record.terms.loss.metric == loss.metric and record.terms.loss.bound == loss.bound
            usable = gate is not None and gate.estimator == "paired" and alike
            if usable and stream is not None and stream.n >= record.terms.minimum_units:
                return stream.v / stream.n
        return None

    def _anchor(
        self, model_id: str, champion: Version, challengers: Sequence[Version], at_us: int | None = None
    ) -> str | None:
        anchor = self._registry.alias(model_id, ANCHOR, at_us)
        there = {champion.id, *(one.id for one in challengers)}
        if anchor is None or anchor.id in there or _kind(challengers, champion) == "new_recipe":
            return None
        return anchor.id

    def rebased(self, record: Record, at_us: int | None = None) -> Record:
        """Return the release compared with the present champion (or that of a moment), on terms for that."""
        champion = self._registry.alias(record.model, CHAMPION, at_us)
        if champion is None:
            raise Conflict("there is no champion to compare with", field="release", value=record.id)
        model = self._registry.model(None, record.model)
        versions = [self._registry.version(id) for id in challengers_of(record)]
        anchor = self._anchor(record.model, champion, versions, at_us)
        past = Past(record.terms.horizon_us, record.terms.loss, label_cut=record.terms.label_cut)
        contenders = max(len(record.state.contenders), 1)
        setting = Setting(_kind(versions, champion), anchor is not None, record.terms.challengers, contenders)
        fresh = terms_of(record.policy, model.spec, past, setting)
        units = next((gate.planned_units for gate in record.terms.gates if gate.bound is None), PLANNED_UNITS)
        terms = msgspec.structs.replace(record.terms, kind=fresh.kind, gates=planned(fresh.gates, units))
        return msgspec.structs.replace(
            record, champion=champion.id, champion_number=champion.number, anchor=anchor, terms=terms
        )


def check_asked_alike(challenger: Version, champion: Version) -> None:
    """Refuse a challenger that needs columns which requests to the champion do not carry: it could answer none."""
    carried = {column.name for column in champion.signature.requested}
    lacking = [column.name for column in challenger.signature.requested if column.name not in carried]
    if lacking:
        raise Refused(
            f"takes {', '.join(lacking)}, which requests to the champion do not carry", field="version",
            value=challenger.number,
            remedy="once callers send that too, point the alias champion at the version by hand",
        )  # fmt: skip


def check_most(versions: Sequence[Version]) -> None:
    """Refuse more challengers than can be kept loaded beside each other."""
    if len(versions) > MOST_CHALLENGERS:
        raise InvalidInput(
            "are too many challengers at once", field="version", value=len(versions),
            remedy=f"start at most {MOST_CHALLENGERS}",
        )  # fmt: skip


def check_number(policy: Policy, versions: Sequence[Version]) -> None:
    """Refuse several challengers where the policy compares one, and more than a bandit's floor leaves room for."""
    if len(versions) > 1 and not isinstance(policy, Bandit | ChampionChallenger):
        raise InvalidInput(
            "takes one challenger", field="release", value=[version.number for version in versions],
            remedy="use ChampionChallenger or Bandit, or start a release of each",
        )  # fmt: skip
    check_most(versions)
    if isinstance(policy, Bandit) and policy.floor * (len(versions) + 1) >= 1.0:
        raise InvalidInput(
            "leaves nothing to share out", field="floor", value=policy.floor,
            remedy=f"with {len(versions) + 1} versions it must be below {1.0 / (len(versions) + 1):.2g}",
        )  # fmt: skip


def challengers_of(record: Record) -> tuple[str, ...]:
    """Return every version that may still win."""
    return tuple(one.version for one in record.state.contest) or (record.challenger,)


def _check_decidable(expected: Forecast) -> None:
    if expected.decidable is False:
        raise Refused(
            f"the policy cannot decide by its deadline: {expected.reason}", field="release",
            remedy="give it more time, a wider margin, or more traffic",
        )  # fmt: skip


def _kind(challengers: Sequence[Version], champion: Version) -> Literal["refresh", "new_recipe"]:
    """Return refresh where every challenger was made by the champion's recipe."""
    recipe = champion.lineage.recipe
    return "refresh" if recipe and all(one.lineage.recipe == recipe for one in challengers) else "new_recipe"
