"""Answers of several numbers."""

import copy
import pickle

from mainspring.kernel.values import Vector, from_plain, plain


def test_a_vector_is_copied_and_sent_between_processes_whole() -> None:
    said = Vector(0.7, (0.1, 0.7, 0.2))
    for again in (copy.copy(said), copy.deepcopy(said), pickle.loads(pickle.dumps(said))):
        assert (float(again), again.numbers) == (0.7, (0.1, 0.7, 0.2))


def test_an_answer_is_plain_and_comes_back() -> None:
    assert [plain(one) for one in (None, 0.5, Vector(0.9, (0.1, 0.9)))] == [None, 0.5, [0.1, 0.9]]
    assert plain(Vector(float("nan"), (0.1, float("nan")))) != plain(Vector(0.9, (0.1, 0.9)))
    assert from_plain([0.1, 0.9]) == 0.9
