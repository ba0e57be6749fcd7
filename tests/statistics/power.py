"""The price of always-valid: rows for four promotions in five, beside the best test that looks once.

``python -m tests.statistics.power`` prints the table of docs/explain/what-is-promised.md.
"""

from __future__ import annotations

import math

import numpy as np

from mainspring.release.evidence.drawn import drawn_terms
from mainspring.release.evidence.eprocess import log_e
from mainspring.release.evidence.losses import loss

BOUND = loss("log_loss").bound
MARGIN, ALPHA, POWER = 0.01, 0.05, 0.8
EFFECTS = (0.0, -0.005, -0.01)
PAIRED_SD, LOSS_SD = 0.11, 0.5
DRAWN = ((0.0, 0.5, 230_000), (-0.005, 0.5, 110_000), (-0.01, 0.5, 70_000), (0.0, 0.05, 1_200_000))  # and most units
Z = 1.645 + 0.8416  # one-sided at .05, four times in five


def fixed(variance: float, gap: float) -> int:
    """Return the rows that a z test needs which looks once, with its variance known."""
    return math.ceil(Z**2 * variance / gap**2)


def paired(effect: float, runs: int = 1_000, most: int = 7_000, seed: int = 1) -> int:
    """Return the rows by which four in five runs are promoted, E looked at after each of them."""
    random = np.random.default_rng(seed)
    stops = []
    for _ in range(runs):
        x = effect + PAIRED_SD * random.standard_normal(most)
        stops.append(_stop(np.cumsum(MARGIN - x), np.cumsum(x * x), 1))
    return int(np.quantile(stops, POWER))


def drawn(effect: float, share: float, most: int, runs: int = 1_000, seed: int = 2) -> int:
    """Return the units by which four in five runs are promoted, E looked at after each thousand."""
    random = np.random.default_rng(seed)
    mean, stops, p = (np.float64(0.6), np.float64(0.6 + effect)), [], np.float64(share)
    for _ in range(runs):
        challenged = random.random(most, dtype=np.float32) < share
        losses = 0.6 + effect * challenged + LOSS_SD * random.standard_normal(most, dtype=np.float32)
        w, x, v = drawn_terms(challenged, p, losses.astype(np.float64), mean)
        stops.append(_stop(np.cumsum(MARGIN * w - x)[999::1_000], np.cumsum(v)[999::1_000], 1_000))
    return int(np.quantile(stops, POWER))


def _stop(s: np.ndarray, v: np.ndarray, every: int) -> float:
    over = np.flatnonzero(log_e(s, v, BOUND) >= math.log(1.0 / ALPHA))
    return float((over[0] + 1) * every) if len(over) else math.inf


def table() -> list[str]:
    """Return the table's lines."""
    lines = [
        "| evidence | true difference | always valid | looked at once | price |",
        "| --- | --- | --- | --- | --- |",
    ]
    for effect in EFFECTS:
        ours, best = paired(effect), fixed(PAIRED_SD**2, MARGIN - effect)
        lines.append(_line("paired, sd .11", effect, ours, best))
    for effect, share, most in DRAWN:
        variance = LOSS_SD**2 * (1.0 / share + 1.0 / (1.0 - share))
        ours, best = drawn(effect, share, most), fixed(variance, MARGIN - effect)
        lines.append(_line(f"drawn at {share:.0%}, sd .5".replace("%", " %"), effect, ours, best))
    return lines


def _line(name: str, effect: float, ours: int, best: int) -> str:
    return f"| {name} | {effect:+.3f} | {ours:,} | {best:,} | {ours / best:.1f} × |"


if __name__ == "__main__":
    print("\n".join(table()))
