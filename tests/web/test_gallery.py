"""A release of each strategy and end on every page, where each name and word is written by somebody who means harm."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.web.gallery import HARM

PAGES = (
    "loop", "model", "ab_test", "alarm", "alarms", "at", "bandit", "blue_green", "canary", "contenders", "contest",
    "empty", "entry", "immediate", "inconclusive", "ledger", "missing", "prediction", "predictions", "rehearsal",
    "replay", "sign_off", "sign_off_rows", "tripwire", "version", "worth_untold",
)  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_words_of_users_are_text_on_every_page_and_run_out_of_none(enter: Callable[..., Any], name: str) -> None:
    tab = enter(name)
    assert "<img src=x onerror" in tab.locator("main").inner_text()
    assert tab.locator("img, main script, iframe, svg[onload], [onerror]").count() == 0
    assert "\u202e" not in tab.content()
    assert "49" not in tab.locator("h1").inner_text()
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_a_refusal_shows_what_was_written_as_text(enter: Callable[..., Any]) -> None:
    form = enter("model").locator(".panel:has(#start)")
    form.locator("[name=policy]").select_option("canary")
    form.locator("fieldset:not([hidden]) [data-policy=margin]").fill(HARM)
    form.locator("[name=reason]").fill(HARM)
    form.locator("[name=actor]").fill("mallory <img src=x onerror=window.hit=1>")
    form.locator("button:text-is('start')").click()
    fault = form.locator(".fault")
    fault.wait_for()
    assert "<img src=x onerror" in fault.inner_text()


def test_each_end_is_told_in_words_and_drawn(enter: Callable[..., Any]) -> None:
    told = {
        "canary": "It is proven not worse by its margin",
        "tripwire": "It failed grossly and a gateway took it out: 12 of 20 requests failed",
        "inconclusive": "The time agreed is over without a decision: the champion stays",
        "empty": "it has just begun, and nothing was looked at yet",
        "sign_off": "nobody with the role risk",
    }
    for name, words in told.items():
        tab = enter(name)
        assert words in tab.locator("main > .words").first.inner_text()
        assert tab.locator("svg.shares").first.is_visible()
    assert "No row has come yet" in enter("empty").locator(".panel:has(h2:text-is('Evidence'))").inner_text()


def test_promotion_by_hand_is_offered_only_where_it_would_be_taken(enter: Callable[..., Any]) -> None:
    def offered(name: str) -> list[str]:
        return list(enter(name).locator(".panel:has(#orders) button").all_text_contents())

    assert offered("bandit") == ["hold", "roll back", "abort"]
    assert offered("sign_off") == ["approve", "hold", "roll back", "abort"]
    assert offered("empty") == ["hold", "promote", "roll back", "abort"]


def test_a_bandit_draws_the_share_of_each_of_its_versions(enter: Callable[..., Any]) -> None:
    tab = enter("bandit")
    assert tab.locator("svg.shares polygon.area title").all_text_contents() == ["v2", "v3", "v4"]
    rows = tab.locator(".panel:has-text('Who takes part') tbody tr")
    assert [row.split("\t")[0].strip() for row in rows.all_inner_texts()] == ["v1", "v2", "v3", "v4"]


def test_a_release_shows_what_its_rehearsal_foresaw_beside_what_happened(enter: Callable[..., Any]) -> None:
    tab = enter("canary")
    panel = tab.locator(".panel:has-text('Rehearsed, and what happened')")
    assert "it was promoted after" in panel.inner_text()
    label = panel.locator("svg.chances").first.get_attribute("aria-label")
    assert label.startswith("of the plays: promoted ")
    assert panel.locator(".happened").count() >= 1
    assert "given " in panel.inner_text()
    listed = enter("model").locator(".panel:has(.rehearsal)")
    assert listed.locator(".rehearsal").count() == 1


def test_nobody_frames_a_page_or_reads_it_from_elsewhere(enter: Callable[..., Any], gallery: dict[str, Any]) -> None:
    tab = enter("loop")
    for path in ("/", gallery["canary"], "/order.js", "/api/status", "/nowhere"):
        headers = tab.request.get(gallery["at_url"] + path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
