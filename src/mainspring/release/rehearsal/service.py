"""Rehearsals: rows from the log, answers that are missing computed anew, and plays in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import polars as pl

from mainspring.checks.credit import as_credits
from mainspring.features.service import FeatureService
from mainspring.kernel.classes import class_texts
from mainspring.kernel.clock import Clock, from_us, show_time
from mainspring.kernel.errors import Conflict, InvalidInput, MainspringError, Refused
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import CHAMPION
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.release.agreement import check_asked_alike, check_number
from mainspring.release.gather import pace_us
from mainspring.release.policy import Policy, check_policy, decode_policy, policy_digest
from mainspring.release.rehearsal.assumed import assumed
from mainspring.release.rehearsal.cast import Cast
from mainspring.release.rehearsal.classes import credited_rows, credits_of, labels_of
from mainspring.release.rehearsal.deck import NEVER_US, Bools, Deck, Said, answered_rows, deck, logged, recomputed
from mainspring.release.rehearsal.fault import Faults
from mainspring.release.rehearsal.gaps import Gap, Gaps
from mainspring.release.rehearsal.missing import Answering, MissingAnswers
from mainspring.release.rehearsal.play import Ended
from mainspring.release.rehearsal.records import Rehearsals
from mainspring.release.rehearsal.report import Rehearsal, count, sentence
from mainspring.release.rehearsal.stage import Script
from mainspring.release.service import ReleaseService
from mainspring.release.terms import Terms
from mainspring.serving.draw import draw, holdout_salt
from mainspring.serving.reserve import challenger_us

MOST_PLAYS = 100_000
MOST_LOOKS = 2_000
Say = Callable[[float, str], None]


class Understudy(Answering, Protocol):
    """What is done in other processes. Satisfied by local jobs."""

    def rehearse(self, cards: Deck, script: Script, plays: int, seed: int, say: Say | None) -> Sequence[Ended]:
        """Return how each play ended."""
        ...


class Asked(msgspec.Struct, frozen=True):
    """What to rehearse: rows decided in [from, until), how often, with which faults. No policy is the model's own."""

    from_us: int
    until_us: int
    policy: Policy | None = None
    plays: int = 1_000
    faults: Faults = Faults()
    seed: int = 1


class RehearsalService:
    """Plays releases on what was logged."""

    def __init__(
        self,
        *,
        registry: Registry,
        log: PredictionLog,
        features: FeatureService,
        releases: ReleaseService,
        understudy: Understudy,
        store: Store,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._log = log
        self._missing = MissingAnswers(registry=registry, log=log, features=features, answering=understudy)
        self._releases = releases
        self._understudy = understudy
        self._clock = clock
        self.kept = Rehearsals(store)

    def rehearse(
        self,
        model_id: str,
        version_ids: Sequence[str],
        asked: Asked,
        *,
        by: str,
        reason: str,
        say: Say | None = None,
    ) -> Rehearsal:
        """Play a release of versions against the present champion on logged rows, and keep what came of it."""
        model = self._registry.model(None, model_id)
        challengers = [self._registry.version(id) for id in dict.fromkeys(version_ids)]
        policy = decode_policy(model.release) if asked.policy is None else asked.policy
        check_policy(policy)
        champion = self._registry.alias(model_id, CHAMPION)
        asked = msgspec.structs.replace(asked, policy=policy, until_us=min(asked.until_us, self._clock.now_us()))
        if champion is None:
            raise Refused("has no champion yet", field="model", value=model.name, remedy="make a first champion")
        _check(model, challengers, champion, asked)
        check_number(policy, challengers)
        agree = self._releases.agreements.agreed
        terms, expected, anchor = agree(model, challengers, champion, policy, asked.from_us)
        cast = Cast(model, champion, tuple(challengers), self._registry.version(anchor) if anchor else None)
        dealt = self._deal(cast, asked, terms.loss.metric)
        if dealt.learnt_rows and (first_us := int(dealt.cards.decision_us[0])) > asked.from_us:
            asked = msgspec.structs.replace(asked, from_us=first_us)  # it could not have run before its first row
            terms, expected, _ = agree(model, challengers, champion, policy, asked.from_us)
        script = _script(cast, terms, dealt.cards, asked)
        ended = self._understudy.rehearse(dealt.cards, script, asked.plays, asked.seed, say)
        told = self._report(cast, asked, policy, dealt, script, ended)
        told = msgspec.structs.replace(told, by=by, reason=reason, forecast=expected)
        self.kept.keep(model.id, told)
        return told

    def _report(
        self, cast: Cast, asked: Asked, policy: Policy, dealt: _Dealt, script: Script, ended: Sequence[Ended]
    ) -> Rehearsal:
        found, cards = count(ended, [one.number for one in cast.challengers]), dealt.cards
        return Rehearsal(
            id=new_id("reh"),
            at_us=self._clock.now_us(),
            project=cast.model.project,
            model=cast.model.name,
            challenger=cast.challengers[0].number,
            challengers=tuple(one.number for one in cast.challengers),
            champion=cast.champion.number,
            policy=str(policy.__struct_config__.tag),
            policy_digest=policy_digest(policy),
            asked=policy,
            assumed=assumed(policy, script, dealt.recomputed_rows, dealt.unfitted_rows),
            from_us=asked.from_us,
            until_us=asked.until_us,
            plays=asked.plays,
            seed=asked.seed,
            injected=tuple(asked.faults.words()),
            rows=cards.rows,
            units=len(np.unique(cards.unit)),
            labelled_rows=int((cards.known_us != NEVER_US).sum()),
            recomputed_rows=dealt.recomputed_rows,
            left_out_rows=dealt.left_out_rows,
            learnt_rows=dealt.learnt_rows,
            unfitted_rows=dealt.unfitted_rows,
            terms_digest=script.terms.digest(),
            sentence=sentence(found, cards.rows, asked.faults.words(), dealt.learnt_rows),
            **{name: getattr(found, name) for name in found.__struct_fields__},
        )

    def _deal(self, cast: Cast, asked: Asked, metric: str) -> _Dealt:
        model = cast.model
        scored = self._log.firm(self._log.scored(model.id, since_us=asked.from_us, until_us=asked.until_us))
        rows = answered_rows(self._log.requests(model.id, asked.from_us, asked.until_us), scored)
        if not rows.height:
            raise InvalidInput("holds no answered requests of this model", field="from", remedy="name a time with some")
        came = self._log.outcomes(model.id)
        scored = credited_rows(scored, rows, came, metric)
        gaps, anew, instead, said = Gaps(rows.height), 0, 0, []
        for version in cast.versions:
            known = logged(rows, scored, version.id)
            lacking = np.flatnonzero(~known.tried)
            if len(lacking):
                fresh = rows[lacking.tolist()]
                found, fitted = self._missing.to(fresh, version, cast)
                there = gaps.add(lacking, found)
                labels, parts = labels_of(fresh, came), class_texts(version.signature.classes)
                values = np.full(rows.height, np.nan)
                values[lacking] = credits_of(
                    [None if isinstance(one, Gap) else one for one in found], labels, parts, metric
                )
                known = recomputed(known, values)
                anew, instead = anew + int((there & ~fitted).sum()), instead + int((there & fitted).sum())
            said.append(known)
        kept = gaps.kept
        if not len(kept):
            raise _nothing_left(gaps, cast, asked)
        stable, challenger, *rest = (one.of(kept) for one in said)
        others = tuple(rest[: len(cast.challengers) - 1])
        named = {"stable": stable, "challenger": challenger, **({"anchor": rest[-1]} if cast.anchor else {})}
        rows = rows[kept.tolist()]
        cards = deck(rows, as_credits(came), named, others, _held(model, asked, rows["unit"]))
        return _Dealt(cards, anew, int(gaps.unread.sum()), int(gaps.learnt.sum()), instead)


class _Dealt(msgspec.Struct, frozen=True):
    cards: Deck
    recomputed_rows: int
    left_out_rows: int
    learnt_rows: int
    unfitted_rows: int


def _nothing_left(gaps: Gaps, cast: Cast, asked: Asked) -> MainspringError:
    if not gaps.learnt.any():
        return InvalidInput("holds no request that the challenger could read", field="from", value=len(gaps.unread))
    return Refused(
        "holds only rows that a version was trained on, and nothing it said of them without", field="from",
        value=show_time(from_us(asked.from_us)),
        remedy=f"rehearse it on rows decided after {show_time(from_us(cast.trained_until_us))}",
    )  # fmt: skip


def _check(model: ModelRow, challengers: Sequence[Version], champion: Version, asked: Asked) -> None:
    if model.spec is None or model.spec.outcome.affected_by_answer:
        raise Refused(
            "answers of this model may change its outcomes, so rows that were answered otherwise would have come true "
            "otherwise", field="model", value=model.name,
            remedy="ask for the off-policy value (mainspring value), or declare the outcome affected_by_answer=False",
        )  # fmt: skip
    for challenger in challengers:
        if challenger.model != model.id:
            raise InvalidInput("belongs to another model", field="challenger", value=challenger.number)
        if challenger.id == champion.id:
            raise Conflict("is the champion already", field="challenger", value=challenger.number)
        check_asked_alike(challenger, champion)
    if asked.from_us >= asked.until_us:
        remedy = f"it ends {show_time(from_us(asked.until_us))}; give a span of the past"
        raise InvalidInput(
            "is not before the end", field="from", value=show_time(from_us(asked.from_us)), remedy=remedy
        )
    if not 1 <= asked.plays <= MOST_PLAYS:
        raise InvalidInput("must be between 1 and 100000", field="plays", value=asked.plays)


def _script(cast: Cast, terms: Terms, cards: Deck, asked: Asked) -> Script:
    span_us = asked.until_us - asked.from_us
    least_us = terms.allocation.update_us if terms.allocation is not None else 0
    script = Script(
        terms=msgspec.structs.replace(terms, approval=None),  # whoever signs off is taken to do so at once
        from_us=asked.from_us,
        until_us=asked.until_us,
        look_us=max(pace_us(terms), least_us, span_us // MOST_LOOKS, 1),
        faults=asked.faults,
        budget_us=_budget_us(cast.model, cards.stable),
        versions=tuple(one.id for one in cast.challengers),
        numbers=tuple(one.number for one in cast.challengers),
    )
    if script.look_us > span_us:
        raise InvalidInput("is too short a time for a single step of this policy", field="to", remedy="ask for more")
    return script


def _held(model: ModelRow, asked: Asked, units: pl.Series) -> Bools | None:
    """Tell which rows belong to units that no release may draw; None where no share is held out."""
    declared = model.spec.holdout if model.spec is not None else 0.0
    share = max(declared, asked.policy.holdout if asked.policy is not None else 0.0)
    if not share:
        return None
    salt = holdout_salt(model.id)
    return np.array([draw(salt, unit) < share for unit in units], dtype=np.bool_)


def _budget_us(model: ModelRow, stable: Said) -> int:
    """Return how long a challenger may take: the deadline less what the stable version needs in the worst case."""
    deadline_us = (model.spec.deadline_ms if model.spec is not None else 1_000) * 1_000
    known = stable.latency_us[stable.latency_us >= 0]
    return challenger_us(deadline_us, int(np.quantile(known, 0.99)) if len(known) else 0)
