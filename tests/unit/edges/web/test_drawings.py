from xml.etree import ElementTree

import pytest

from mainspring.edges.web.drawings import draw_evidence, draw_level, draw_line, draw_reigns
from mainspring.edges.web.views import Evidence, Point, Reign

DAY = 86_400_000_000
START = 1_367_582_400_000_000
POINTS = (Point(START, -0.04, 0.05), Point(START + DAY, -0.02, 0.02), Point(START + 2 * DAY, -0.01, 0.005))


def evidence(points: tuple[Point, ...] = POINTS, limit: float | None = 0.01) -> Evidence:
    return Evidence("log_loss", -0.0025, -0.01, 0.005, limit, 4_000, 300, points=points)


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
    assert {line.get("class") for line in drawn.iter("line")} == {"zero", "limit"}


def test_a_single_decision_is_drawn_as_one_interval() -> None:
    drawn = ElementTree.fromstring(draw_evidence(evidence(points=POINTS[:1])))
    assert drawn.get("class") == "drawing evidence single"
    assert len(list(drawn.iter("circle"))) == 1


def test_missing_evidence_draws_nothing() -> None:
    assert str(draw_evidence(Evidence("log_loss", None, None, None, 0.01, 0, 10))) == ""


def test_a_drawing_says_in_words_what_it_shows() -> None:
    drawn = next(ElementTree.fromstring(draw_evidence(evidence())).iter("svg"))
    assert drawn.get("aria-label") == "log_loss: difference between -0.0100 and +0.0050, margin 0.01"


@pytest.mark.parametrize(("level", "width"), [(0.5, "50.0%"), (-1.0, "0.0%"), (7.0, "100.0%")])
def test_a_level_stays_within_its_track(level: float, width: str) -> None:
    drawn = ElementTree.fromstring(draw_level(level))
    assert [rect.get("width") for rect in drawn.iter("rect")][1] == width


def test_a_line_leaves_out_what_is_not_a_number() -> None:
    drawn = ElementTree.fromstring(draw_line((0.0, float("nan"), 1.0)))
    (line,) = drawn.iter("polyline")
    assert line.get("points") == "0.00,90.00 100.00,10.00"


def test_one_value_is_no_line() -> None:
    assert str(draw_line((1.0,))) == ""


def test_no_drawing_carries_inline_style() -> None:
    drawn = str(draw_evidence(evidence())) + str(draw_reigns((Reign(1, START),), START + DAY)) + str(draw_level(0.3))
    assert "style=" not in drawn
