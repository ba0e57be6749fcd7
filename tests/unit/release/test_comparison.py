"""Where two versions differ, and which rows a person is shown."""

import polars as pl
import pytest

from mainspring.release.comparison import both, disagreement, sample


def rows(n: int = 40) -> pl.DataFrame:
    scored = pl.DataFrame(
        [
            {"prediction_id": f"p{place}", "row": 0, "version": version, "role": role, "status": "ok",
             "output": 0.5 + (0.01 * place if version == "new" and place % 2 else 0.0),
             "decision": version == "new" and place > 30, "decision_us": place,
             "vector": None, "parts": None}
            for place in range(n)
            for version, role in (("old", "served"), ("new", "shadow"))
        ],
        schema_overrides={"vector": pl.List(pl.Float64), "parts": pl.List(pl.String)},
    )  # fmt: skip
    asked = pl.DataFrame(
        {
            "prediction_id": [f"p{place}" for place in range(n)], "row": [0] * n, "decision_us": list(range(n)),
            "entity": [f"f{place}" for place in range(n)],
            "body": [f'{{"dest": "{"LAX" if place % 2 else "JFK"}", "distance": {place}}}' for place in range(n)],
        }
    )  # fmt: skip
    return both(scored, asked, "old", "new")


def test_disagreement_is_told_in_all_and_by_slice_with_the_largest_first() -> None:
    whole, *slices = disagreement(rows(), ["dest", "distance"])
    assert (whole.column, whole.rows, whole.largest) == ("all", 40, pytest.approx(0.39))
    assert whole.decided_otherwise == pytest.approx(9 / 40)
    assert [(one.column, one.value, one.rows) for one in slices[:2]] == [("dest", "LAX", 20), ("dest", "JFK", 20)]
    assert slices[0].mean == pytest.approx(0.2)
    assert slices[1].mean_absolute == 0.0
    assert slices[2].value == "above 29.25"


def test_rows_of_somebody_who_was_erased_have_no_columns_to_be_split_by() -> None:
    met = rows().with_columns(body=pl.when(pl.col("entity") == "f1").then(pl.lit("")).otherwise(pl.col("body")))
    _, *slices = disagreement(met, ["dest"])
    assert sorted((one.value, one.rows) for one in slices) == [("JFK", 20), ("LAX", 19), ("none", 1)]


def test_half_of_a_sample_are_the_largest_differences_and_they_come_first() -> None:
    found = sample(rows(), pl.DataFrame({"entity": ["f39"], "value": [1.0]}), 6, seed=1)
    assert [one.entity for one in found[:3]] == ["f39", "f37", "f35"]
    assert [one.picked for one in found] == ["largest"] * 3 + ["chance"] * 3
    assert (found[0].outcome, found[1].outcome) == (1.0, None)
    assert found[0].asked == {"dest": "LAX", "distance": 39}
    assert sample(rows(), pl.DataFrame({"entity": ["f39"], "value": [1.0]}), 6, seed=1) == found


def test_fewer_rows_than_were_asked_for_are_all_shown() -> None:
    assert len(sample(rows(4), pl.DataFrame({"entity": [], "value": []}), 20, seed=1)) == 4
    assert disagreement(rows(4).clear()) == []


def of_classes() -> pl.DataFrame:
    """Return two rows of three classes; on the second the challenger, which knows one class less, picks another."""
    said = [
        ("p0", "old", [0.6, 0.3, 0.1], ["a", "b", "c"]), ("p0", "new", [0.7, 0.3], ["a", "b"]),
        ("p1", "old", [0.1, 0.3, 0.6], ["a", "b", "c"]), ("p1", "new", [0.2, 0.8], ["a", "b"]),
    ]  # fmt: skip
    scored = pl.DataFrame(
        [
            {"prediction_id": id, "row": 0, "version": version, "role": "served", "status": "ok", "output": max(vector),
             "decision": None, "decision_us": 1, "vector": vector, "parts": parts}
            for id, version, vector, parts in said
        ]
    )  # fmt: skip
    asked = pl.DataFrame(
        {
            "prediction_id": ["p0", "p1"],
            "row": [0, 0],
            "entity": ["e0", "e1"],
            "body": ["{}", "{}"],
            "decision_us": [1, 2],
        }
    )
    return both(scored, asked, "old", "new")


def test_versions_of_classes_are_compared_by_what_each_gives_to_the_champions_class() -> None:
    (whole,) = disagreement(of_classes())
    assert (whole.rows, whole.decided_otherwise) == (2, 0.5)
    assert whole.largest == pytest.approx(0.6)
    labels = pl.DataFrame({"entity": ["e1"], "value": [None], "label": ["b"]})
    largest, other = sample(of_classes(), labels, 2, seed=1)
    assert (largest.champion_class, largest.challenger_class, largest.outcome_class) == ("c", "b", "b")
    assert (largest.champion, largest.challenger, largest.outcome) == (0.6, 0.0, None)
    assert (other.champion_class, other.challenger_class, other.outcome_class) == ("a", "a", "")
