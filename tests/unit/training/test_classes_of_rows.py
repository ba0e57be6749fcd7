"""Which classes a version has: those that came true, sorted, or those that are declared."""

from __future__ import annotations

import polars as pl
import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.training.inputs import labels_of, truth_of, with_classes

BARE = Signature("multiclass", (Column("x", "float"),))


def rows(*labels: object) -> pl.DataFrame:
    return pl.DataFrame({"label": labels})


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(("b", "a", "b"), ("a", "b")), ((3, 1, 2), (1, 2, 3)), ((True, False), (False, True))],
)
def test_classes_that_came_true_are_learnt_in_sorted_order(
    labels: tuple[object, ...], classes: tuple[object, ...]
) -> None:
    assert with_classes(BARE, rows(*labels), "m.default").classes == classes


def test_declared_classes_keep_their_order_though_one_never_came() -> None:
    declared = Signature("multiclass", BARE.inputs, classes=("c", "b", "a"))
    assert with_classes(declared, rows("a", "b"), "m.default").classes == ("c", "b", "a")
    assert truth_of(rows("a", "c"), declared).tolist() == [2.0, 0.0]


def test_an_outcome_that_is_no_declared_class_is_refused_with_its_name() -> None:
    declared = Signature("multiclass", BARE.inputs, classes=("a", "b"))
    with pytest.raises(
        InvalidInput, match=r"m\.default\.classes: 2 outcomes are none of the declared classes \(got 'z'\)"
    ):
        with_classes(declared, rows("a", "z", "y"), "m.default")


def test_one_class_alone_is_no_question() -> None:
    with pytest.raises(InvalidInput, match=r"must be 2 to 1,000 \(got 1\)"):
        with_classes(BARE, rows("a", "a"), "m.default")


def test_whole_numbers_of_any_width_and_categories_are_labels() -> None:
    assert labels_of(pl.DataFrame({"label": pl.Series([1, 2], dtype=pl.Int8)}), BARE).dtype == pl.Int64
    categories = pl.DataFrame({"label": pl.Series(["a", "b"], dtype=pl.Categorical)})
    assert labels_of(categories, BARE).to_list() == ["a", "b"]


def test_other_tasks_know_no_classes() -> None:
    binary = Signature("binary", BARE.inputs)
    assert with_classes(binary, rows(True, False), "m.default") is binary
    assert truth_of(rows(True, False), binary).tolist() == [1.0, 0.0]
