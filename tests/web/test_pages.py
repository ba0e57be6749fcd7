from collections.abc import Callable
from typing import Any

import pytest

WIDTHS = (1280, 390)


def release_path(lived_in: Any, *, running: bool) -> str:
    found = [one for one in lived_in.platform.releases.list(lived_in.model) if one.over is not running]
    return f"/releases/{found[-1].id}"


def test_the_loop_is_seen_at_a_glance(look: Callable[..., Any], lived_in: Any) -> None:
    tab = look("/")
    assert tab.locator(".loop li").count() == 7
    assert tab.locator(".model h2").inner_text() == "flights / late"
    champion = lived_in.platform.registry.alias(lived_in.model, "champion")
    assert f"v{champion.number} has been champion for" in tab.locator(".model .reigning").inner_text()
    assert tab.locator(".reigns .reign").count() == len(lived_in.platform.registry.history(lived_in.model, "champion"))
    assert tab.locator(".monitors li").count() >= 3
    assert "matured of" in tab.locator(".monitors").inner_text()
    assert tab.locator(".ledger li").count() == 15


def test_a_running_release_shows_its_steps_and_its_evidence_drawn(look: Callable[..., Any]) -> None:
    tab = look("/")
    running = tab.locator(".release.running")
    assert running.count() == 1
    assert running.locator(".steps li").all_inner_texts() == ["shadow", "5 %", "25 %", "50 %", "champion"]
    assert running.locator(".steps [aria-current=step]").count() == 1
    assert running.locator(".proof svg").count() >= 1
    assert "matured" in running.locator(".proof .counts").first.inner_text()


@pytest.mark.parametrize("running", [True, False])
def test_a_release_page_explains_its_decisions_with_numbers(
    look: Callable[..., Any], lived_in: Any, running: bool
) -> None:
    tab = look(release_path(lived_in, running=running))
    assert tab.locator(".proof").count() >= 3
    assert tab.locator("text=Decisions").count() == 1
    first = tab.locator(".ledger details").first
    first.locator("summary").click()
    assert "low" in first.inner_text()


def test_a_rolled_back_release_shows_where_it_stopped_and_on_which_number(
    look: Callable[..., Any], lived_in: Any
) -> None:
    leaky = next(one for one in lived_in.platform.releases.list(lived_in.model) if one.recipe == "leaky")
    assert leaky.status == "rolled_back"
    tab = look(f"/releases/{leaky.id}")
    assert tab.locator(".steps .stopped").all_inner_texts() == ["shadow"]
    assert tab.locator(".proof.bad").count() == 1
    assert "log loss +0." in tab.locator("main > .words").inner_text()


def test_a_model_page_lists_versions_champions_and_releases(look: Callable[..., Any]) -> None:
    tab = look("/models/flights/late")
    assert tab.locator("tbody tr").count() == 4
    assert tab.locator("tbody tr.champion").count() == 1
    assert "leaky" in tab.locator("table").inner_text()


def test_links_lead_from_the_loop_to_a_model_and_a_release_and_back(look: Callable[..., Any], page: str) -> None:
    tab = look("/")
    tab.locator(".model h2 a").click()
    assert tab.url == page + "/models/flights/late"
    tab.locator(".past a").first.click()
    assert "/releases/rel_" in tab.url
    tab.locator(".mark").click()
    assert tab.url == page + "/"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/models/flights/late", "release"])
def test_nothing_runs_out_of_the_page(
    look: Callable[..., Any], lived_in: Any, path: str, scheme: str, width: int
) -> None:
    tab = look(release_path(lived_in, running=True) if path == "release" else path, width=width, scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    smallest = tab.evaluate(
        "Math.min(...[...document.querySelectorAll('main *')].map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(look: Callable[..., Any], scheme: str) -> None:
    tab = look("/", scheme=scheme)
    for selector in ("body", ".mute", ".champion", ".challenger", ".monitors .words"):
        ratio = tab.locator(selector).first.evaluate(CONTRAST)
        assert ratio >= 4.5, (selector, ratio)


def test_names_from_users_are_text_and_nothing_else(look: Callable[..., Any]) -> None:
    tab = look("/models/flights/late")
    assert tab.locator(".ledger b:has-text('trained')").count() == 0
    assert "<b>trained</b> & registered" in tab.locator(".ledger").last.inner_text()


def test_a_page_that_is_not_there_says_so(browser: Any, page: str) -> None:
    tab = browser.new_page()
    assert tab.goto(page + "/models/flights/lat").status == 404
    assert "did you mean 'flights/late'?" in tab.content()
    assert tab.goto(page + "/releases/rel_none").status == 404
    tab.close()


def test_no_script_frame_or_form_is_needed_or_allowed(look: Callable[..., Any], browser: Any, page: str) -> None:
    tab = look("/")
    assert tab.locator("script, iframe, form, [style]").count() == 0
    plain = browser.new_context(java_script_enabled=False).new_page()
    answer = plain.goto(page + "/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert plain.locator(".model").count() == 1
    plain.context.close()


CONTRAST = """element => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = rgb(colour).slice(0, 3).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  let ground = element;
  while (ground && rgb(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const a = light(getComputedStyle(element).color);
  const b = light(getComputedStyle(ground ?? document.body).backgroundColor);
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
}"""
