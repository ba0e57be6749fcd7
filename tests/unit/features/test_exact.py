import math

import numpy as np

from mainspring.features.exact import exact_sums


def test_whole_numbers_are_never_in_doubt():
    changes = np.array([3.0, 4.0, -3.0, -4.0])
    sums, doubtful = exact_sums(changes, np.array([1, 2, 1, 0]))
    assert sums.tolist() == [3.0, 7.0, 4.0, 0.0]
    assert doubtful.tolist() == []


def test_what_a_plain_running_sum_loses_is_kept():
    changes = np.array([1e16, 1.0, 1.0, -1e16])
    sums, _ = exact_sums(changes, np.array([1, 2, 3, 2]))
    assert sums.tolist() == [1e16, 1e16, 1e16 + 2, 2.0]


def test_every_sum_is_the_exact_one_rounded_once_or_in_doubt():
    random = np.random.default_rng(7)
    values = random.normal(size=3_000) * 10.0 ** random.integers(-9, 9, 3_000)
    leave = 40
    changes = np.concatenate([values[:leave], np.column_stack([values[leave:], -values[:-leave]]).ravel()])
    inside: list[float] = []
    expected = []
    for change in changes:
        if -change in inside:
            inside.remove(-change)
        else:
            inside.append(change)
        expected.append(math.fsum(inside))
    sums, doubtful = exact_sums(changes, np.ones(len(changes), np.int64))
    wrong = set(np.flatnonzero(sums != np.array(expected)).tolist())
    assert wrong <= set(doubtful.tolist())
    assert len(doubtful) < 100
