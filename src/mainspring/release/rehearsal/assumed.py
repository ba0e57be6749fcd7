"""What a rehearsal takes for granted, in words: nobody should read more out of it than was put in."""

from __future__ import annotations

from datetime import timedelta

from mainspring.kernel.duration import show_duration
from mainspring.release.policy import Policy
from mainspring.release.policy.metrics import Reward, Slower
from mainspring.release.rehearsal.stage import Script


def assumed(policy: Policy, script: Script, recomputed_rows: int, unfitted_rows: int = 0) -> tuple[str, ...]:
    """Return what is taken for granted, most of it for every policy and some for this one."""
    terms = script.terms
    every = show_duration(timedelta(microseconds=script.look_us))
    told = [f"it is looked at every {every}, and gateways take a stage up at once", "the champion does not change"]
    if policy.approval is not None:
        told.append("whoever must approve does so at once")
    if terms.strategy in ("ab_test", "bandit") or any(isinstance(one, Reward) for one in terms.judges):
        told.append("the outcome is the reward, so every version earns the same on a row, but for injected faults")
    if any(gate.bound is None for gate in terms.gates):
        told.append("metrics without bounds are asymptotic: their errors hold in the limit of many units")
    if unfitted_rows:
        told.append(
            f"{unfitted_rows} answers to rows that a version was trained on are its recipe's, fitted without those rows"
        )
    if terms.sample < 1.0:
        told.append("the shadow's sample is the same in every play")
    timed = bool(script.faults.latency_us) or any(isinstance(one, Slower) for one in terms.judges)
    if timed and recomputed_rows:
        told.append("a version takes as long as the champion did over a row that it never answered")
    if terms.strategy == "immediate":
        told.append("whoever asks after the switch is exposed, to the end of the rows")
    return tuple(told)
