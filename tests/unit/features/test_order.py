import numpy as np
import pytest

from mainspring.features.order import NOWHERE, at_or_before, codes


@pytest.mark.parametrize("far", [10, 2**61])
def test_codes_are_in_the_order_of_group_then_moment(far):
    groups, moments = np.array([1, 0, 0, 2, 0]), np.array([5, far, 5, 0, 5])
    (code,) = codes([(groups, moments)])
    assert np.argsort(code, kind="stable").tolist() == [2, 4, 1, 0, 3]
    assert code[2] == code[4]


@pytest.mark.parametrize("far", [10, 2**61])
def test_the_last_entry_of_the_same_group_at_or_before_the_moment_is_found(far):
    groups, moments = np.array([0, 0, 1]), np.array([5, far, 7])
    asked_groups = np.array([0, 0, 0, 0, 1, 1, 2, NOWHERE])
    asked_moments = np.array([4, 5, far - 1, far, 6, far, far, far])
    found = at_or_before(groups, moments, asked_groups, asked_moments)
    assert found.tolist() == [NOWHERE, 0, 0, 1, NOWHERE, 2, NOWHERE, NOWHERE]


def test_nothing_is_found_among_nothing():
    empty = np.empty(0, np.int64)
    assert at_or_before(empty, empty, np.array([0]), np.array([1])).tolist() == [NOWHERE]
