"""What is drawn of several challengers: each with its own interval, counts, e-value and words."""

from collections.abc import Callable
from typing import Any

import pytest


def rows(tab: Any) -> list[list[str]]:
    found = tab.locator(".panel:has(#contest) > .scroll tbody tr")
    return [[cell.strip() for cell in row.split("\t")] for row in found.all_inner_texts()]


def test_each_challenger_of_a_running_contest_is_drawn_closing_in_on_its_limits(enter: Callable[..., Any]) -> None:
    tab = enter("contenders")
    assert [row[:2] for row in rows(tab)] == [
        ["v1", "champion"], ["v2", "running"], ["v3", "running"], ["v4", "taken out: quality worse"],
    ]  # fmt: skip
    arms = tab.locator(".arm")
    assert arms.count() == 3
    for place in range(3):
        arm = arms.nth(place)
        label = arm.locator("svg.evidence").first.get_attribute("aria-label")
        assert "log_loss against the champion: difference between " in label
        assert " matured, " in label
        assert arm.locator("svg.evidence polygon.band").count() >= 1
        assert arm.locator("svg.evidence polygon.matured").count() >= 1
        assert "e = " in arm.locator(".verdict").first.inner_text()
    points = [len(arms.nth(place).locator("polyline.middle").get_attribute("points").split()) for place in range(3)]
    assert points[0] == points[1] > points[2] >= 2
    assert tab.locator(".tag:text-is('leads')").count() == 1


def test_a_loser_is_kept_with_its_scores_and_the_winner_with_its_evidence_to_the_end(enter: Callable[..., Any]) -> None:
    tab = enter("contest")
    kept = {row[0]: row for row in rows(tab)}
    assert [kept[name][1] for name in ("v2", "v3")] in (["won", "archived: lost"], ["archived: lost", "won"])
    assert kept["v4"][1] == "taken out: quality worse"
    assert all(kept[name][4] not in ("–", "0") for name in ("v2", "v3", "v4"))
    won = next(name for name, row in kept.items() if row[1] == "won")
    assert tab.locator("#evidence").inner_text() == f"Evidence on {won}"
    mine = tab.locator(f"#{won} polyline.middle").get_attribute("points").split()
    lost = tab.locator(f"#{'v3' if won == 'v2' else 'v2'} polyline.middle").get_attribute("points").split()
    assert len(mine) > len(lost)


def test_a_bandit_shows_what_each_version_earned_and_what_is_pending(enter: Callable[..., Any]) -> None:
    tab = enter("bandit")
    shown = {row[0]: row for row in rows(tab)}
    assert list(shown) == ["v1", "v2", "v3", "v4"]
    means = {name: float(row[3]) for name, row in shown.items()}
    assert max(means, key=means.get) == "v2"
    assert all(int(row[5].replace("\u202f", "")) > 0 for row in shown.values())
    assert len({tab.locator(f"#{name} svg.evidence").first.get_attribute("class") for name in ("v2", "v3", "v4")}) == 3
    shares = tab.locator("svg.shares")
    assert shares.locator("polygon.champion-area title").text_content() == "v1"
    assert tab.locator(".facts").first.inner_text().startswith("ANSWERING\nv2 ")


def test_all_that_can_still_win_is_drawn_to_one_scale(enter: Callable[..., Any]) -> None:
    tab = enter("contenders")
    tops = [tab.locator(f"#{name} .ticks text:has-text('worse')").first.text_content() for name in ("v2", "v3", "v4")]
    assert tops[0] == tops[1] != tops[2]


def test_words_beside_a_drawing_do_not_stand_over_each_other(enter: Callable[..., Any]) -> None:
    for name in ("contenders", "bandit", "canary", "ab_test"):
        for width in (1280, 390):
            tab = enter(name, width)
            assert tab.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["loop", "contenders", "bandit", "alarm", "entry", "version"])
def test_every_word_stands_out_from_its_ground(enter: Callable[..., Any], name: str, scheme: str) -> None:
    tab = enter(name)
    tab.emulate_media(color_scheme=scheme)
    assert tab.evaluate(FAINT) == []


FAINT = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = rgb(colour).map(v => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const clear = colour => rgb(colour)[3] === 0;
  const found = new Set();
  for (const element of document.querySelectorAll("body *:not(svg *, script, option)")) {
    if (![...element.childNodes].some(one => one.nodeType === 3 && one.textContent.trim())) continue;
    let ground = element;
    while (ground && clear(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
    const a = light(getComputedStyle(element).color);
    const b = light(getComputedStyle(ground ?? document.body).backgroundColor);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.add(element.tagName + "." + element.className + " " + ratio.toFixed(2));
  }
  return [...found];
}"""


OVERLAPS = """() => {
  const found = [];
  for (const drawing of document.querySelectorAll("svg.drawing")) {
    const boxes = [...drawing.querySelectorAll("text")].map(one => [one.textContent, one.getBoundingClientRect()]);
    boxes.forEach(([said, a], place) => {
      for (const [also, b] of boxes.slice(place + 1)) {
        const apart = a.right <= b.left || b.right <= a.left || a.bottom - 4 <= b.top || b.bottom - 4 <= a.top;
        if (a.width && b.width && !apart) found.push(drawing.getAttribute("class") + ": " + said + " | " + also);
      }
    });
  }
  return found;
}"""
