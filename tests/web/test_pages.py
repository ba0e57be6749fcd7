from collections.abc import Callable
from typing import Any

import pytest

from mainspring.edges.person import local_user
from mainspring.ledger.queries import entries
from mainspring.release.policy import Approval, Shadow

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
    table = tab.locator(".panel:has(#versions) table")
    assert table.locator("tbody tr").count() == 4
    assert table.locator("tbody tr.champion").count() == 1
    assert "leaky" in table.inner_text()


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


def test_a_page_is_read_without_a_script_and_lets_in_no_other(
    look: Callable[..., Any], lived_in: Any, browser: Any, page: str
) -> None:
    tab = look("/")
    assert tab.locator("script").evaluate_all("all => all.map(one => one.getAttribute('src'))") == [
        "/live.js",
        "/order.js",
    ]
    assert tab.locator("iframe, [style], [onclick]").count() == 0
    plain = browser.new_context(java_script_enabled=False).new_page()
    answer = plain.goto(page + release_path(lived_in, running=True))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "form-action 'none'" in policy
    assert plain.locator("form.order:visible").count() == 0
    plain.locator(".panel:has(#orders) .by-command summary").click()
    assert "mainspring release hold rel_" in plain.locator(".panel:has(#orders) .by-command").inner_text()
    plain.context.close()


def test_a_person_holds_and_resumes_a_release_from_the_page_with_a_name_and_a_reason(
    look: Callable[..., Any], lived_in: Any, token: str
) -> None:
    path = release_path(lived_in, running=True)
    release = path.rpartition("/")[2]
    tab = look(f"{path}#token={token}")
    assert "token" not in tab.url
    form = tab.locator(".panel:has(#orders)")
    for label, after in (("hold", "held"), ("resume", "running")):
        form.locator("[name=reason]").fill(f"to {label} it")
        form.locator("[name=actor]").fill("Zoë")
        with tab.expect_navigation():
            form.locator(f"button:text-is('{label}')").click()
        assert lived_in.platform.releases.get(release).status == after
    with lived_in.platform.store.read() as connection:
        resumed, held = entries(connection, subject=release, newest_first=True, limit=2)
    known = f"Zoë, said by {local_user()} (page)"
    assert [(one.kind, one.actor) for one in (held, resumed)] == [("release.held", known), ("release.resumed", known)]
    assert "to hold it" in held.reason


def test_without_the_token_or_a_reason_nothing_is_ordered(browser: Any, lived_in: Any, page: str) -> None:
    path = release_path(lived_in, running=True)
    release = path.rpartition("/")[2]
    tab = browser.new_page()
    tab.goto(page + path)
    form = tab.locator(".panel:has(#orders)")
    form.locator("[name=actor]").fill("Mallory")
    form.locator("button:text-is('abort')").click()
    assert form.locator("[name=reason]").evaluate("field => field.validity.valueMissing")
    form.locator("[name=reason]").fill("to see what happens")
    form.locator("[name=token]").fill("a guess")
    form.locator("button:text-is('abort')").click()
    form.locator("label:has([name=token]) .fault:has-text('a valid token is needed')").wait_for()
    assert form.locator("[name=token]").is_visible()
    assert lived_in.platform.releases.get(release).status == "running"
    tab.close()


def test_the_shares_of_a_promoted_release_are_drawn_over_time(look: Callable[..., Any], lived_in: Any) -> None:
    promoted = next(one for one in lived_in.platform.releases.list(lived_in.model) if one.status == "promoted")
    tab = look(f"/releases/{promoted.id}")
    label = tab.locator("svg.shares").get_attribute("aria-label")
    assert label.startswith("share of units over time: 0 % from ")
    assert [word in label for word in ("5 % from", "25 % from", "50 % from", "100 % from")] == [True] * 4
    assert "became champion" in tab.locator(".told").inner_text()


def test_a_release_can_be_started_from_a_models_page(look: Callable[..., Any], lived_in: Any, token: str) -> None:
    tab = look(f"/models/flights/late#token={token}")
    champion = lived_in.platform.registry.alias(lived_in.model, "champion").number
    offered = tab.locator("[name=version] option").evaluate_all("all => all.map(one => Number(one.value))")
    assert champion not in offered
    tab.locator("[name=version]").select_option("1")
    tab.locator("[name=reason]").fill("back to the first")
    tab.locator("[name=actor]").fill("ana")
    with tab.expect_navigation():
        tab.locator("button:text-is('start')").click()
    (started,) = [one for one in lived_in.platform.releases.running(lived_in.model) if one.asked == "back to the first"]
    lived_in.platform.releases.abort(started.id, by="ana", reason="only to see that it starts")


def test_whoever_signs_a_release_off_sees_rows_with_both_answers_and_nobody_without_a_token(
    look: Callable[..., Any], lived_in: Any, token: str
) -> None:
    asks = Shadow(shadow="20d", approval=Approval(role="risk"))
    version = lived_in.version(0.12)
    release = lived_in.platform.releases.start(lived_in.model, version.id, asks, by="ana", reason="sign it off")
    lived_in.play(1)
    open_to_all = look(f"/releases/{release.id}")
    leads_to = open_to_all.locator("a:text-is('Look before you approve')").get_attribute("href")
    assert leads_to == f"/releases/{release.id}/sample"
    assert open_to_all.locator("main a[href^='/predictions/']").count() == 0
    tab = look(leads_to, password=token)
    panel = tab.locator(".panel:has-text('Both answers')")
    assert panel.locator("tbody tr").count() == 12
    assert panel.locator("thead th").all_inner_texts()[3:] == ["Difference", "Came true", "Asked"]
    lived_in.platform.releases.abort(release.id, by="ana", reason="only to look")


def test_every_order_on_a_release_is_given_from_its_page_and_the_ledger_names_who_and_why(
    look: Callable[..., Any], lived_in: Any, token: str
) -> None:
    version, other = lived_in.version(0.12), lived_in.version(0.12)
    platform = lived_in.platform
    before = platform.registry.alias(lived_in.model, "champion").number
    signed = Shadow(shadow="20d", approval=Approval(), minimum_units=300)
    first = platform.releases.start(lived_in.model, version.id, signed, by="ana", reason="to sign it off")
    lived_in.play(2.5)
    orders = [("approve", "running"), ("promote", "promoted"), ("roll back", "rolled_back")]
    second = platform.releases.start(lived_in.model, other.id, Shadow(shadow="20d"), by="ana", reason="to end it")
    given = [(first, *one) for one in orders] + [(second, "hold", "held"), (second, "abort", "aborted")]
    for release, label, status in given:
        tab = look(f"/releases/{release.id}#token={token}")
        form = tab.locator(".panel:has(#orders)")
        form.locator("[name=reason]").fill(f"to {label} it")
        form.locator("[name=actor]").fill("Zoë")
        with tab.expect_navigation():
            form.locator(f"button:text-is('{label}')").click()
        assert platform.releases.get(release.id).status == status, label
    assert platform.registry.alias(lived_in.model, "champion").number == before
    kinds = ("approved", "promoted", "rolled_back", "held", "aborted")
    with platform.store.read() as connection:
        told = {one.kind: one for id in (first.id, second.id) for one in entries(connection, subject=id)}
    for (_, label, _), kind in zip(given, kinds, strict=True):
        entry = told[f"release.{kind}"]
        assert entry.actor == f"Zoë, said by {local_user()} (page)"
        assert f"to {label} it" in entry.reason


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
