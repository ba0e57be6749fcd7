from itertools import pairwise
from xml.etree import ElementTree

import msgspec
import pytest

from mainspring.edges.web.charts import draw_evidence, draw_windows, place
from mainspring.edges.web.drawings import draw_level, draw_reigns
from mainspring.edges.web.views import Evidence, Monitor, Point, Reign, Window

DAY = 86_400_000_000
START = 1_367_582_400_000_000
POINTS = (
    Point(START, -0.04, 0.05, 0.005, 500, 900),
    Point(START + DAY, -0.02, 0.02, 0.0, 2_000, 600),
    Point(START + 2 * DAY, -0.01, 0.005, -0.0025, 4_000, 300),
)


def evidence(points: tuple[Point, ...] = POINTS, limit: float | None = 0.01) -> Evidence:
    more = {"unit": "rows", "points": points, "since_us": START, "least": 300}
    return Evidence("log_loss", -0.0025, -0.01, 0.005, limit, 4_000, 300, **more)


def test_reigns_share_the_width_by_their_length() -> None:
    drawn = ElementTree.fromstring(
        draw_reigns((Reign(1, START, START + 3 * DAY), Reign(2, START + 3 * DAY)), START + 4 * DAY)
    )
    widths = [rect.get("width") for rect in drawn.iter("rect")]
    assert widths == ["74.75%", "24.75%"]
    assert [text.text for text in drawn.iter("text")] == ["v1", "v2", "3 May 2013", "7 May 2013"]


def test_text_in_a_drawing_is_escaped() -> None:
    drawn = str(draw_reigns((Reign(1, START, None, '<script>"&'),), START + DAY))
    assert "<script>" not in drawn
    assert "&lt;script&gt;&#34;&amp;" in drawn


def test_evidence_draws_a_band_that_narrows_and_both_limits() -> None:
    drawn = ElementTree.fromstring(draw_evidence(evidence()))
    (band,) = [one for one in drawn.iter("polygon") if one.get("class") == "band"]
    heights = [float(pair.split(",")[1]) for pair in (band.get("points") or "").split()]
    assert len(heights) == 6
    widths = [low - high for high, low in zip(heights[:3], reversed(heights[3:]), strict=True)]
    assert widths == sorted(widths, reverse=True)
    assert {line.get("class") for line in drawn.iter("line")} == {"zero", "limit", "least"}


def test_counts_are_drawn_below_with_those_that_wait_above_those_that_matured() -> None:
    drawn = ElementTree.fromstring(draw_evidence(evidence()))
    (matured,) = [one for one in drawn.iter("polygon") if one.get("class") == "matured"]
    (waiting,) = [one for one in drawn.iter("polygon") if one.get("class") == "waiting"]
    assert (matured.get("points") or "").split()[:3] == ["0.00,88.37", "50.00,53.49", "100.00,6.98"]
    assert (waiting.get("points") or "").split()[:3] == ["0.00,67.44", "50.00,39.53", "100.00,0.00"]
    assert "4\u202f300 rows" in [text.text for text in drawn.iter("text")]


def test_a_decision_is_marked_where_it_was_taken() -> None:
    drawn = ElementTree.fromstring(draw_evidence(evidence(), [(START + DAY, "v3 is <out>")]))
    (mark,) = [line for line in drawn.iter("line") if line.get("class") == "change"]
    assert (mark.get("x1"), mark[0].text) == ("50.00", "v3 is <out>")


def test_several_are_drawn_to_one_scale_if_that_is_asked() -> None:
    one = msgspec.structs.replace(evidence(), reach=0.1)
    words = [text.text for text in ElementTree.fromstring(draw_evidence(one)).iter("text")]
    assert "+0.1 worse" in words
    assert "\u22120.1 better" in words


def test_words_beside_a_drawing_keep_their_distance() -> None:
    placed = place([(50.0, "0 equal"), (52.0, "+0.01 limit")], 100.0, ends=("worse", "better"))
    heights = sorted(y for y, _ in placed)
    assert all(later - earlier >= 13.0 for earlier, later in pairwise(heights))
    assert {words for _, words in placed} == {"0 equal", "+0.01 limit", "worse", "better"}


def test_a_single_decision_is_drawn_as_one_interval() -> None:
    drawn = ElementTree.fromstring(draw_evidence(evidence(points=POINTS[:1])))
    assert drawn.get("class") == "drawing evidence single"
    assert len(list(drawn.iter("circle"))) == 1


def test_missing_evidence_draws_nothing() -> None:
    assert str(draw_evidence(Evidence("log_loss", None, None, None, 0.01, 0, 10))) == ""


def test_a_drawing_says_in_words_what_it_shows() -> None:
    drawn = next(ElementTree.fromstring(draw_evidence(evidence())).iter("svg"))
    assert drawn.get("aria-label") == (
        "log_loss: difference between -0.0400 and +0.0500 on 3 May 2013 12:00Z, between -0.0100 and +0.0050 "
        "on 5 May 2013 12:00Z, limit 0.01; 4\u202f000 rows matured, 300 waiting"
    )


@pytest.mark.parametrize(("level", "width"), [(0.5, "50.0%"), (-1.0, "0.0%"), (7.0, "100.0%")])
def test_a_level_stays_within_its_track(level: float, width: str) -> None:
    drawn = ElementTree.fromstring(draw_level(level))
    assert [rect.get("width") for rect in drawn.iter("rect")][1] == width


def monitor(*values: float) -> Monitor:
    windows = tuple(Window(START + place * DAY, value, 0.0) for place, value in enumerate(values))
    return Monitor("quality", "quality", "quiet", "", points=windows)


def test_windows_are_drawn_between_their_least_and_their_greatest() -> None:
    drawn = ElementTree.fromstring(draw_windows(monitor(0.2, 0.4, 0.3)))
    (line,) = drawn.iter("polyline")
    assert line.get("points") == "0.00,94.00 50.00,6.00 100.00,50.00"
    assert [text.text for text in drawn.iter("text")] == ["3 May 2013 12:00Z", "5 May 2013 12:00Z", "0.4", "0.2"]


def test_one_window_is_no_line() -> None:
    assert str(draw_windows(monitor(1.0))) == ""


def test_no_drawing_carries_inline_style() -> None:
    drawn = str(draw_evidence(evidence())) + str(draw_reigns((Reign(1, START),), START + DAY)) + str(draw_level(0.3))
    assert "style=" not in drawn
