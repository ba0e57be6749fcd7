"""A decision with the numbers that it was taken on."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.stream import Measured
from mainspring.release.state import Contender, Seen, Stage, State
from mainspring.release.terms import Terms

Kind = Literal[
    "start", "wait", "advance", "promote", "roll_back", "return", "hold", "resume", "abort", "rebase", "drop",
    "reweigh", "approve", "change",
]  # fmt: skip
Verdict = Literal["advance", "roll_back", "inconclusive"]
ENDING = ("promote", "roll_back", "return", "abort")


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a release with its reason and numbers: what is stored, shown and tested.

    ``stage``, ``step``, ``share`` and ``contenders`` are those after it. ``waiting`` names what is still missing,
    ``immature`` counts rows that are too young to count; ``counted_us`` is how far rows, pairs, drawn units and the
    labels of those had been counted. ``generations`` are the first whose evidence counts and the
    one that took the present stage up. ``winner`` is the challenger that goes on, where there were several: of each of
    them that was in the running, ``seen`` is what was known, and ``earned`` the champion's rewards.
    """

    kind: Kind
    verdict: Verdict
    reason: str
    sentence: str
    at_us: int
    stage: Stage
    step: int
    share: float
    measured: tuple[Measured, ...] = ()
    units: int = 0
    coverage: float | None = None
    labelled_share: float | None = None
    waiting: tuple[str, ...] = ()
    by: str = ""
    terms_digest: str = ""
    policy_digest: str = ""
    immature: int = 0
    generations: tuple[int | None, int | None] = (None, None)
    contenders: tuple[Contender, ...] = ()
    winner: str = ""
    counted_us: tuple[int, ...] = ()
    seen: tuple[Seen, ...] = ()
    earned: Earned | None = None

    def too_young(self, one: Measured) -> int:
        """Return how many rows or units were there and could not count for a comparison yet."""
        return max(self.immature if one.estimator == "paired" else self.units - one.n, 0)

    def numbers(self) -> dict[str, Any]:
        """Return what the ledger keeps beside the reason."""
        body: dict[str, Any] = msgspec.to_builtins(self)
        for key in ("kind", "sentence", "at_us", "by", "seen", "earned"):
            del body[key]
        for key in ("contenders", "winner"):
            if not body[key]:
                del body[key]
        more = {"seen": self._of_each()} if self.seen else {}
        return {**body, "measured": {one.pop("name"): one for one in body["measured"]}, **more}

    def _of_each(self) -> dict[str, Any]:
        """Return the comparisons of each challenger that promotion needs, and its rewards, by the version's number."""
        numbers = {one.version: one.number for one in self.contenders}
        told: dict[str, Any] = {}
        for one in self.seen:
            metrics = one.evidence.metrics() if one.evidence is not None else ()
            said: dict[str, Any] = {
                known.name: {"n": known.n, "mean": known.estimate, "low": known.low, "high": known.high}
                for known in metrics
            }
            if one.earned is not None:
                said["reward"] = {"n": one.earned.n, "mean": one.earned.mean, "pending": one.earned.pending}
            told[f"v{numbers.get(one.version)}"] = said
        return told


class Say:
    """Fills a decision with the numbers that it was taken on."""

    def __init__(self, terms: Terms, state: State, evidence: Evidence | None, now_us: int, *, by: str = "") -> None:
        self._evidence, self._state, self._now_us, self._by = evidence, state, now_us, by
        self._terms = terms

    def __call__(
        self,
        kind: Kind,
        verdict: Verdict,
        reason: str,
        sentence: str,
        *,
        to: tuple[Stage, int, float] | None = None,
        waiting: tuple[str, ...] = (),
        contenders: tuple[Contender, ...] | None = None,
        winner: str = "",
        evidence: Evidence | None = None,
    ) -> Decision:
        evidence, state = evidence or self._evidence, self._state
        ends = kind in ENDING
        stage, step, share = to or (("over", state.step, 0.0) if ends else (state.stage, state.step, state.share))
        return Decision(
            kind=kind,
            verdict=verdict,
            reason=reason,
            sentence=sentence,
            at_us=self._now_us,
            stage=stage,
            step=step,
            share=share,
            measured=evidence.measured if evidence is not None else (),
            units=evidence.units if evidence is not None else 0,
            coverage=evidence.coverage if evidence is not None else None,
            labelled_share=evidence.labelled_share if evidence is not None else None,
            waiting=waiting,
            by=self._by,
            terms_digest=self._terms.digest(),
            policy_digest=self._terms.policy_digest,
            immature=evidence.immature if evidence is not None else 0,
            counted_us=evidence.counted_us if evidence is not None else (),
            generations=(state.generation, state.stage_generation),
            contenders=state.contenders if contenders is None else contenders,
            winner=winner,
        )
