"""What holds for every history of a release, whatever comes."""

import math
from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.release.evidence.eprocess import interval, log_e
from mainspring.release.evidence.stream import Gate, Stream
from mainspring.release.policy import Canary, decode_policy

GATE = Gate("quality", "metric", "paired", 1.0, promote_margin=0.02, stop_margin=0.0)
terms = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60)


@given(terms, st.lists(st.integers(0, 60), max_size=5))
def test_sums_and_peaks_do_not_depend_on_how_the_rows_were_cut(rows: list[float], cuts: list[int]) -> None:
    x = np.array(rows)
    whole = Stream().add(GATE, np.ones(len(x)), x, x * x)
    parts, edges = Stream(), [0, *sorted(min(cut, len(x)) for cut in cuts), len(x)]
    for start, end in pairwise(edges):
        piece = x[start:end]
        parts = parts.add(GATE, np.ones(len(piece)), piece, piece * piece)
        parts = msgspec.json.decode(msgspec.json.encode(parts), type=Stream)
    assert parts.n == whole.n
    assert math.isclose(parts.x, whole.x, abs_tol=1e-9)
    assert math.isclose(parts.peak_promote, whole.peak_promote, abs_tol=1e-9)
    assert math.isclose(parts.peak_stop, whole.peak_stop, abs_tol=1e-9)


@given(terms)
def test_the_interval_holds_the_mean_or_is_cut_at_the_bound(rows: list[float]) -> None:
    x = np.array(rows)
    low, high = interval(float(len(x)), float(x.sum()), float((x * x).sum()), 1.0, 0.05)
    assert -1.0 <= low <= high <= 1.0
    assert low - 1e-9 <= x.mean() <= high + 1e-9


@given(st.floats(-50, 50), st.floats(0, 200), st.floats(0, 20))
def test_more_in_favour_never_lowers_e_and_more_variance_never_raises_it(s: float, v: float, more: float) -> None:
    assert float(log_e(s + more, v, 1.0)) >= float(log_e(s, v, 1.0)) - 1e-12
    assert float(log_e(s, v + more, 1.0)) <= float(log_e(s, v, 1.0)) + 1e-12


@settings(max_examples=50)
@given(
    st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5, unique=True).map(sorted),
    st.integers(1, 60),
    st.floats(1e-4, 4.59),
)
def test_every_legal_policy_survives_being_stored(steps: list[float], days: int, margin: float) -> None:
    policy = Canary(shadow=f"{days}d", steps=steps, margin=margin)
    assert decode_policy(msgspec.json.encode(policy).decode()) == policy
