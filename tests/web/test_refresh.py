"""A page keeps itself up to date, and takes nothing from whoever reads it or fills a form."""

from collections.abc import Callable
from typing import Any

import pytest

from mainspring.edges.api.server import ControlServer
from mainspring.release.policy import Shadow

AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture
def running(lived_in: Any) -> Any:
    version = lived_in.version(0.12)
    policy = Shadow(shadow="20d")
    started = lived_in.platform.releases.start(lived_in.model, version.id, policy, by="ana", reason="to watch it")
    yield started
    lived_in.platform.releases.abort(started.id, by="ana", reason="only to watch it")


def test_a_page_shows_what_has_changed_without_a_reload(look: Callable[..., Any], lived_in: Any, running: Any) -> None:
    tab = look(f"/releases/{running.id}")
    tab.evaluate("window.mark = 1")
    tab.locator(".panel:has(#orders) .by-command summary").click()
    lived_in.platform.releases.hold(running.id, by="ana", reason="let us look at it")
    tab.evaluate(AGAIN)
    tab.locator(".tag.held").wait_for()
    assert tab.locator(".panel:has(#orders) button").all_inner_texts() == ["resume", "promote", "roll back", "abort"]
    assert tab.locator(".panel:has(#orders) details").evaluate("one => one.open")
    assert tab.title().startswith("held: ")
    assert tab.evaluate("window.mark") == 1


def test_a_form_that_is_half_filled_is_kept(look: Callable[..., Any], lived_in: Any, running: Any) -> None:
    tab = look(f"/releases/{running.id}")
    tab.locator(".panel:has(#orders) [name=reason]").fill("because it")
    lived_in.platform.releases.hold(running.id, by="ana", reason="let us look at it")
    tab.evaluate(AGAIN)
    tab.locator(".tag.held").wait_for()
    assert tab.locator(".panel:has(#orders) [name=reason]").input_value() == "because it"
    lived_in.platform.releases.abort(running.id, by="ana", reason="only to watch it")
    tab.evaluate(AGAIN)
    tab.locator(".old:has-text('This has changed since the page was loaded')").wait_for()
    assert tab.locator(".panel:has(#orders) [name=reason]").input_value() == "because it"


def test_a_page_whose_control_is_away_says_that_it_is_old(browser: Any, lived_in: Any) -> None:
    with ControlServer(lived_in.platform) as server:
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{server.address.port}/")
        assert tab.locator(".old").is_hidden()
    tab.evaluate(AGAIN)
    tab.locator(".old:has-text('Control does not answer')").wait_for()
    assert tab.title().startswith("? ")
    assert tab.locator(".model").count() == 1
    tab.close()


def test_without_a_script_a_page_is_loaded_anew(browser: Any, page: str) -> None:
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(page + "/")
    assert plain.locator("meta[http-equiv=refresh]").get_attribute("content") == "20"
    plain.context.close()
