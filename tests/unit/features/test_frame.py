import polars as pl
import pytest

from mainspring.features.frame import FrameSource, FrameSpec, Label, build_frame
from mainspring.features.spec import PushReader, SourceSpec
from mainspring.kernel.errors import InvalidInput, NotFound

HOUR_US = 3_600_000_000
NOON_US = 1_367_582_400_000_000  # 2013-05-03T12:00Z
ORDERS = SourceSpec("orders", PushReader(), time="at", key=("order",), known_after_us=0)
RETURNS = SourceSpec("returns", PushReader(), time="at", key=("id",), known_after_us=0)
ORDER_ROWS = pl.DataFrame(
    {
        "order": [1, 2, 3],
        "at": ["2013-05-03T12:00Z", "2013-05-03T13:00Z", "2013-05-03T14:00Z"],
        "price": [1.0, 2.0, 3.0],
        "paid": [True, None, False],
    }
)
RETURN_ROWS = pl.DataFrame({"id": [1, 2], "order": [2, 9], "at": ["2013-05-03T15:00Z", "2013-05-03T15:00Z"]})


def spec(label, until_us=NOON_US + 24 * HOUR_US, **changed):
    sources = {one.name: FrameSource(one.name, one, (), (), 3, NOON_US) for one in (ORDERS, RETURNS)}
    made = {"entity": "order", "source": "orders", "at_column": "at", "at_offset_us": 0, "columns": ("price",)}
    return FrameSpec(**made | {"label": label, "sources": sources, "views": (), "until_us": until_us} | changed)


def built(label, **changed):
    return build_frame(spec(label, **changed), {"orders": ORDER_ROWS, "returns": RETURN_ROWS})


def paid(if_absent="unlabelled"):
    return Label("paid", "orders", "bool", if_absent, 6 * HOUR_US)


def returned(if_absent):
    return Label("id > 0", "returns", "bool", if_absent, 6 * HOUR_US)


def test_rows_without_an_outcome_are_left_out():
    assert built(paid()).rows() == [
        ("1", NOON_US, NOON_US, True, 1.0),
        ("3", NOON_US + 2 * HOUR_US, NOON_US + 2 * HOUR_US, False, 3.0),
    ]


def test_only_outcomes_known_by_then_are_used():
    assert built(paid(), until_us=NOON_US + HOUR_US)["entity"].to_list() == ["1"]


def test_rows_before_the_window_are_left_out():
    assert built(paid(), since_us=NOON_US + HOUR_US)["entity"].to_list() == ["3"]


def test_silence_is_a_negative_once_it_has_matured_if_the_outcome_says_so():
    found = built(returned("negative"), until_us=NOON_US + 7 * HOUR_US)
    assert found.select("entity", "known_us", "label").rows() == [
        ("1", NOON_US + 6 * HOUR_US, False),
        ("2", NOON_US + 3 * HOUR_US, True),
    ]


def test_an_outcome_of_another_source_is_found_by_the_entity():
    assert built(returned("unlabelled"))["entity"].to_list() == ["2"]


def test_a_number_is_a_label_too():
    found = built(Label("price * 2", "orders", "float", "unlabelled", 0))
    assert found["label"].to_list() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"columns": ("prise",)}, "prise: is not a column of the source; did you mean 'price'"),
        ({"entity": "ordr"}, "ordr: is not a column of the source; did you mean 'order'"),
        ({"label": Label("paid >", "orders", "bool", "unlabelled", 0)}, "outcome: is not an expression"),
    ],
)
def test_what_does_not_fit_is_named(changed, what):
    with pytest.raises(InvalidInput, match=what):
        built(**{"label": paid()} | changed)


def test_views_are_asked_by_name():
    with pytest.raises(NotFound, match="there is no such view"):
        spec(paid()).bound(["nosuch"])
