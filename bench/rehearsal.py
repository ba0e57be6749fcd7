"""A rehearsal of 1,000 plays on 30,000 rows, as a ratio to numpy passing once over the same arrays for each play.

python bench/rehearsal.py
"""

from __future__ import annotations

import time

import numpy as np

from mainspring.release.evidence.losses import loss
from mainspring.release.rehearsal.deck import Deck, Said
from mainspring.release.rehearsal.rehearse import rehearse
from mainspring.release.rehearsal.report import count, sentence
from mainspring.release.rehearsal.stage import Script
from mainspring.release.terms import Terms, gates

HOUR_US = 3_600_000_000
ROWS, PLAYS, DAYS = 30_000, 1_000, 32


def main() -> None:
    deck, script = made(), Script(terms(), 0, DAYS * 24 * HOUR_US, 6 * HOUR_US)
    began = time.perf_counter()
    ended = rehearse(deck, script, PLAYS, 1)
    ours_s = time.perf_counter() - began
    random, began = np.random.default_rng(1), time.perf_counter()
    for _ in range(PLAYS):
        one_pass(deck, random)
    bare_s = time.perf_counter() - began
    print(f"{PLAYS} plays of {ROWS} rows: {ours_s:.1f} s, {ours_s / bare_s:.1f} × numpy's own passes over them")
    print(sentence(count(ended), ROWS, ()))


def one_pass(deck: Deck, random: np.random.Generator) -> float:
    """Draw every row and add up both arms' losses and failures: the least that a play must do."""
    met = random.random(deck.rows) < 0.5
    output = np.where(met, deck.challenger.output, deck.stable.output)
    losses = np.square(output - deck.outcome)
    failed = np.where(met, ~deck.challenger.ok, ~deck.stable.ok)
    return float(np.cumsum(losses)[-1] + np.cumsum(failed)[-1])


def terms() -> Terms:
    measured = loss("log_loss")
    return Terms(
        kind="refresh", estimator="paired", loss=measured, margin=0.01,
        gates=gates(estimator="paired", kind="refresh", loss=measured, margin=0.01, alphas=(0.05, 0.01),
                    margins=(0.01, 0.01), anchored=False, draws=True),
        steps=(0.05, 0.25, 0.5), shadow_us=20 * 24 * HOUR_US, hold_us=72 * HOUR_US, horizon_us=24 * HOUR_US,
        window_us=0, deadline_us=31 * 24 * HOUR_US, on_deadline="return", minimum_units=500, step_requests=20,
        coverage=0.8, alpha_ratio=0.001, planned_requests=20_000,
    )  # fmt: skip


def made() -> Deck:
    random = np.random.default_rng(7)
    at = np.sort(random.integers(1, DAYS * 24 * HOUR_US, ROWS))
    chance = np.clip(random.beta(1.2, 3.8, ROWS), 0.01, 0.99)
    odds = np.log(chance / (1 - chance))

    def said(sd: float) -> Said:
        output = 1 / (1 + np.exp(-(odds + sd * random.standard_normal(ROWS))))
        yes = np.ones(ROWS, dtype=bool)
        return Said(output, random.random(ROWS) > 0.002, np.zeros(ROWS, dtype=bool), yes, np.full(ROWS, 300))

    outcome = (random.random(ROWS) < chance).astype(float)
    known = at + (random.gamma(4.0, 1.2, ROWS) * HOUR_US).astype(np.int64)
    return Deck(at, np.arange(ROWS, dtype=np.uint64), outcome, known, said(0.35), said(0.3))


if __name__ == "__main__":
    main()
