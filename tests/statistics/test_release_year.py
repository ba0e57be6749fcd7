"""Two releases of identical versions a day, for a simulated year, through the engine: how many are rolled back?"""

import numpy as np
from tests.statistics.simulate import LONG, most

from mainspring.release.evidence.losses import loss
from mainspring.release.rehearsal.deck import Deck, Said
from mainspring.release.rehearsal.play import Play
from mainspring.release.rehearsal.rival import Rival
from mainspring.release.rehearsal.stage import Script, Stage
from mainspring.release.terms import Terms, gates

HOUR_US = 3_600_000_000
DAYS, ROWS = 5, 1_500


def terms() -> Terms:
    measured, margin = loss("log_loss"), 0.1
    return Terms(
        kind="refresh", estimator="paired", loss=measured, margin=margin,
        gates=gates(estimator="paired", kind="refresh", loss=measured, margin=margin, alphas=(0.05, 0.01),
                    margins=(0.01, 0.01), anchored=False, draws=True),
        steps=(0.1, 0.5), shadow_us=2 * 24 * HOUR_US, hold_us=12 * HOUR_US, horizon_us=6 * HOUR_US, window_us=0,
        deadline_us=4 * 24 * HOUR_US, on_deadline="return", minimum_units=100, step_requests=20, coverage=0.8,
        alpha_ratio=0.001, planned_requests=2_000,
    )  # fmt: skip


def cards(random: np.random.Generator, *, same: bool = True, failing: float = 0.01, rows: int = ROWS) -> Deck:
    """Return a few days of a model: a challenger that answers as the champion does, but fails on rows of its own."""
    at = np.sort(random.integers(1, DAYS * 24 * HOUR_US, rows))
    chance = np.clip(random.beta(1.2, 3.8, rows), 0.01, 0.99)
    odds = np.log(chance / (1.0 - chance))
    answers = [1.0 / (1.0 + np.exp(-(odds + 0.3 * random.standard_normal(rows)))) for _ in range(2)]

    def said(output: np.ndarray) -> Said:
        ok = random.random(rows) >= failing
        late = ~ok & (random.random(rows) < 0.5)
        return Said(output, ok, late, np.ones(rows, dtype=bool), np.full(rows, 300))

    known = at + (random.gamma(4.0, 0.5, rows) * HOUR_US).astype(np.int64)
    outcome = (random.random(rows) < chance).astype(float)
    return Deck(at, np.arange(rows, dtype=np.uint64), outcome, known, said(answers[0]), said(answers[0 if same else 1]))


def test_of_two_identical_releases_a_day_for_a_year_no_more_are_rolled_back_than_is_stated() -> None:
    random, agreed, ends = np.random.default_rng(1), terms(), []
    releases = 2 * 365 if LONG else 240
    for _ in range(releases):
        deck = cards(random)
        script = Script(agreed, 0, DAYS * 24 * HOUR_US, 3 * HOUR_US)
        stage = Stage(deck, script)
        ends.append(Play(stage, [Rival(stage, 0)], random.random(deck.rows)).run()[0].status)
    rolled_back = ends.count("rolled_back")
    print(f"{rolled_back} of {releases} identical releases were rolled back, {ends.count('promoted')} promoted")
    assert rolled_back <= most(releases, 0.01)
    assert ends.count("promoted") > 0.9 * releases
