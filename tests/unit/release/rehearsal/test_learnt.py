"""Which rows a version may have learnt from, and what stands for its answers to them."""

from __future__ import annotations

import polars as pl

from mainspring.kernel.values import Vector
from mainspring.registry.version import Lineage
from mainspring.release.rehearsal.learnt import APART_US, learnt, unfitted

ROWS = pl.DataFrame({"entity": ["a", "b", "c", "d", "e"], "decision_us": [5, 10, 20, 30, 41]})
CAME = pl.DataFrame({"entity": ["a", "b", "d", "e"], "known_us": [15, 50, 40, 42]})
LINEAGE = Lineage(trained_from_us=10, trained_until_us=40)


def held(at_us: list[int], score: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"entity": ["c", "d"][: len(at_us)], "at_us": at_us, "score": score})


def test_a_version_that_was_not_trained_has_learnt_from_nothing() -> None:
    assert not learnt(ROWS, CAME, Lineage(), None).any()


def test_without_rows_held_out_all_of_its_time_may_be_learnt_whether_or_when_they_came_true() -> None:
    assert learnt(ROWS, CAME, LINEAGE, None).tolist() == [False, True, True, True, False]


def test_from_the_first_row_held_out_only_those_with_a_known_outcome_are() -> None:
    assert learnt(ROWS, CAME, LINEAGE, held([20], [0.5])).tolist() == [False, True, False, True, False]


def test_where_silence_is_an_outcome_rows_that_were_silent_for_long_enough_are_too() -> None:
    kept = held([20], [0.5])
    assert learnt(ROWS, CAME, LINEAGE, kept, 20).tolist() == [False, True, True, True, False]
    assert learnt(ROWS, CAME, LINEAGE, kept, 21).tolist() == [False, True, False, True, False]


def test_the_answer_that_stands_for_it_is_that_of_the_same_case_at_about_that_time() -> None:
    kept = held([20 + APART_US, 31 + APART_US], [0.25, 0.75])
    assert unfitted(ROWS, kept) == [None, None, 0.25, None, None]
    assert unfitted(ROWS, None) == [None] * 5


def test_class_vectors_stand_as_vectors() -> None:
    (said,) = unfitted(ROWS[2:3], held([20, 30], [[0.1, 0.9], [0.5, 0.5]]))
    assert isinstance(said, Vector)
    assert said.numbers == (0.1, 0.9)
