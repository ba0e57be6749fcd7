"""From a decision to its entry in the ledger, to what answered then, to a prediction, to its replay; alarms."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from mainspring.ledger.queries import entries


def test_a_decision_leads_to_its_entry_and_the_entry_to_what_answered_then(enter: Callable[..., Any]) -> None:
    tab = enter("canary")
    promoted = tab.locator(".decisions .promote")
    entry = promoted.locator("a.entry")
    number = entry.inner_text().removeprefix("ledger ")
    entry.click()
    assert tab.url.endswith(f"/ledger/{number}")
    assert tab.locator("h1").inner_text() == "release · promoted"
    chain = tab.locator(".panel:has(#chain)")
    assert chain.locator("dd code").count() == 3
    assert tab.locator("table:has(caption:text-is('measured')) th:text-is('quality')").count() == 1
    chain.locator("a:text-is('What answered then')").click()
    assert "was champion since" in tab.locator(".panel:has-text('canary')").first.inner_text()


def test_a_releases_decisions_are_worked_out_again_from_the_log(enter: Callable[..., Any]) -> None:
    tab = enter("canary")
    tab.locator("a:text-is('Work each decision out again from the log')").click()
    assert tab.locator("h1").inner_text() == "The log gives the same"
    told = tab.locator(".decisions .actor").all_inner_texts()
    assert told.count("equal") >= 3
    assert "differs" not in told


def test_a_prediction_shows_its_draw_all_answers_and_what_came_true(enter: Callable[..., Any]) -> None:
    tab = enter("predictions")
    tab.locator("tbody a").first.click()
    assert "/predictions/p-o" in tab.url
    told = tab.locator(".panel").first.inner_text()
    assert "Drawn to v" in told
    assert "with a chance of " in told
    assert tab.locator("tbody tr.champion td:nth-child(2)").inner_text() == "served"
    assert "known since" in told
    tab.locator("a:text-is('this release')").click()
    assert "/releases/rel_" in tab.url


def test_a_prediction_is_found_by_its_id(enter: Callable[..., Any], gallery: dict[str, Any]) -> None:
    tab = enter("predictions")
    address = tab.locator("tbody a").first.get_attribute("href")
    tab.locator(".find [name=text]").fill(unquote(address.rpartition("/")[2]))
    with tab.expect_navigation():
        tab.locator(".find button").click()
    assert unquote(tab.url) == unquote(gallery["at_url"] + address)
    assert "Drawn to v" in tab.locator(".panel").first.inner_text()


def test_the_ledger_is_read_page_by_page_by_kind_and_about_one_thing(
    enter: Callable[..., Any], gallery: dict[str, Any]
) -> None:
    tab = enter("ledger")
    shown = [int(one) for one in tab.locator(".ledger .seq").all_inner_texts()]
    assert len(shown) == 100
    tab.locator("a:text-is('Older ones')").click()
    older = [int(one) for one in tab.locator(".ledger .seq").all_inner_texts()]
    assert older[0] == shown[-1] - 1
    tab.goto(gallery["at_url"] + "/ledger/kind/release.promoted")
    assert set(tab.locator(".ledger .kind > a").all_inner_texts()) == {"release · promoted"}
    release = gallery["canary"].rpartition("/")[2]
    tab.goto(f"{gallery['at_url']}/ledger/about/{release}")
    kinds = tab.locator(".ledger .kind > a").all_inner_texts()
    assert kinds == ["release · promoted", "release · advanced", "release · advanced", "release · started"]


def test_the_chain_is_verified_with_a_head_to_keep(enter: Callable[..., Any], gallery: dict[str, Any]) -> None:
    tab = enter("proof")
    assert tab.locator("h1").inner_text() == "The chain holds"
    with gallery["shop"].platform.store.read() as connection:
        (newest,) = entries(connection, newest_first=True, limit=1)
    assert tab.locator(".panel > p:not(.by-command) > code").inner_text() == f"{newest.seq}:{newest.hash}"


def test_a_version_shows_what_it_is_made_of_and_what_it_would_have_been_worth(enter: Callable[..., Any]) -> None:
    tab = enter("version")
    assert "let pass by" in tab.locator(".panel:has(#checks)").inner_text()
    assert tab.locator("h2:text-is('Lineage')").count() == 1
    tab.locator("a:has-text('would have been worth')").click()
    panel = tab.locator(".panel:has(#worth)")
    assert "would have had a mean outcome of" in panel.inner_text()
    assert panel.locator("svg.drawing").get_attribute("aria-label").startswith("worth 0.")


def test_what_cannot_be_told_of_a_worth_is_said(enter: Callable[..., Any], gallery: dict[str, Any]) -> None:
    tab = enter("worth_untold")
    assert tab.locator(".panel:has(#worth)").inner_text().count("It cannot be told: ") == 1


def test_an_alarm_is_acknowledged_from_its_page_once(enter: Callable[..., Any], gallery: dict[str, Any]) -> None:
    tab = enter("alarm")
    assert "none for" in tab.locator("main > .words").first.inner_text()
    form = tab.locator(".panel:has(#orders)")
    form.locator("[name=reason]").fill("the shop is closed today")
    form.locator("[name=actor]").fill("Zoë")
    with tab.expect_navigation():
        form.locator("button:text-is('acknowledge')").click()
    assert "the shop is closed today" in tab.locator("main").inner_text()
    assert tab.locator("#orders").count() == 0
    assert "acknowledged" in tab.locator(".ledger .kind").last.inner_text()


def test_what_is_not_there_is_a_page_with_a_way_back(enter: Callable[..., Any], gallery: dict[str, Any]) -> None:
    tab = enter("loop")
    for path in ("/ledger/999999", "/ledger/x", "/alarms/alm_none", "/versions/ver_none", "/predictions/none",
                 "/predictions/none/replay", "/rehearsals/reh_none", "/releases/rel_none"):  # fmt: skip
        answer = tab.request.get(gallery["at_url"] + path)
        assert (path, answer.status, answer.headers["content-type"]) == (path, 404, "text/html; charset=utf-8")
        assert '<a href="/">The loop</a>' in answer.text()
    answer = tab.request.get(gallery["at_url"] + "/ledger/at/yesterday")
    assert (answer.status, "time: " in answer.text()) == (400, True)
