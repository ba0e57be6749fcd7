"""Policies on the page: chosen, edited and changed through the same verbs, with refusals beside their fields."""

from collections.abc import Callable
from typing import Any

import pytest

from mainspring.release.policy import KINDS, Canary, Shadow, decode_policy


@pytest.fixture
def form(browser: Any, page: str, token: str) -> Any:
    """Open a form of orders; what it is refused shows as a failed request, which is no complaint here."""
    tabs = []

    def opening(path: str, panel: str) -> Any:
        tab = browser.new_page()
        tabs.append(tab)
        tab.goto(f"{page}{path}#token={token}")
        found = tab.locator(f".panel:has(#{panel})")
        found.locator("details.changing > summary").click() if panel == "policy" else None
        found.locator("[name=reason]").fill("to see how it goes")
        found.locator("[name=actor]").fill("ana")
        return found

    yield opening
    for tab in tabs:
        tab.close()


def running(lived_in: Any, asked: str) -> Any:
    return next(one for one in lived_in.platform.releases.running(lived_in.model) if one.asked == asked)


def test_each_strategy_shows_its_own_fields_with_their_defaults(form: Callable[..., Any]) -> None:
    found = form("/models/flights/late", "start")
    assert not found.locator("fieldset").first.is_visible()
    offered = found.locator("[name=policy] option").evaluate_all("all => all.map(one => one.value)")
    assert sorted(offered) == sorted(["", *(str(kind.__struct_config__.tag) for kind in KINDS)])
    for kind in KINDS:
        found.locator("[name=policy]").select_option(str(kind.__struct_config__.tag))
        shown = found.locator("fieldset:not([hidden]) [data-policy]")
        assert shown.evaluate_all("all => all.map(one => one.dataset.policy)") == list(kind.__struct_fields__)
    found.locator("[name=policy]").select_option("bandit")
    assert found.locator("[name=version]").evaluate("select => select.multiple")


def test_a_release_is_started_by_an_edited_policy(form: Callable[..., Any], lived_in: Any) -> None:
    found = form("/models/flights/late", "start")
    found.locator("[name=version]").select_option("1")
    found.locator("[name=policy]").select_option("canary")
    fields = found.locator("fieldset:not([hidden])")
    for name, value in {"steps": "0.1, 0.5", "deadline": "30d", "margin": "0.02", "bound": ""}.items():
        fields.locator(f"[data-policy={name}]").fill(value)
    fields.locator("[data-policy=guards]").fill('[{"type": "slower_than", "limit": "50ms"}]')
    fields.locator("[data-policy=approval]").select_option("asked")
    fields.locator("[data-part=role]").fill("risk")
    with found.page.expect_navigation():
        found.locator("button:text-is('start')").click()
    started = running(lived_in, "to see how it goes")
    lived_in.platform.releases.abort(started.id, by="ana", reason="only to see that it starts")
    policy = started.policy
    assert isinstance(policy, Canary)
    assert (policy.steps, policy.deadline, policy.margin, policy.bound) == ((0.1, 0.5), "30d", 0.02, None)
    assert (policy.guards[0].name, policy.approval.role) == ("slower_than_50ms", "risk")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("steps", "0.5, 0.2", "must grow from step to step (got [0.5, 0.2])"),
        ("margin", "a little", "must be a number (got 'a little')"),
        ("shadow", "soon", "is not a duration (got 'soon')"),
        ("guards", "[{", "is not JSON"),
    ],
)
def test_what_is_refused_is_said_beside_its_field(
    form: Callable[..., Any], lived_in: Any, field: str, value: str, said: str
) -> None:
    before = len(lived_in.platform.releases.list(lived_in.model))
    found = form("/models/flights/late", "start")
    found.locator("[name=policy]").select_option("canary")
    asked = found.locator(f"fieldset:not([hidden]) [data-policy={field}]")
    asked.fill(value)
    found.locator("button:text-is('start')").click()
    fault = found.locator(f".field:has([data-policy={field}]) .fault:visible")
    fault.wait_for()
    assert fault.inner_text().startswith(said)
    assert asked.evaluate("field => document.activeElement === field && field.getAttribute('aria-invalid')") == "true"
    assert len(lived_in.platform.releases.list(lived_in.model)) == before


def test_a_running_policy_is_changed_only_where_its_evidence_stays_valid(
    form: Callable[..., Any], lived_in: Any
) -> None:
    version = lived_in.version(0.12)
    policy = Shadow(shadow="20d", hold="1d")
    release = lived_in.platform.releases.start(lived_in.model, version.id, policy, by="ana", reason="to change it")
    found = form(f"/releases/{release.id}", "policy")
    offered = found.locator("[data-policy]").evaluate_all("all => all.map(one => one.dataset.policy)")
    assert ("hold" in offered, "margin" in offered) == (True, False)
    found.locator("[data-policy=hold]").fill("1h")
    found.locator("button:text-is('change')").click()
    fault = found.locator(".field:has([data-policy=hold]) .fault")
    fault.wait_for()
    assert fault.inner_text() == "may only become longer than 1d (got '1h')"
    assert lived_in.platform.releases.get(release.id).policy == policy
    found.locator("[data-policy=hold]").fill("2d")
    with found.page.expect_navigation():
        found.locator("button:text-is('change')").click()
    changed = lived_in.platform.releases.get(release.id)
    lived_in.platform.releases.abort(release.id, by="ana", reason="only to change it")
    assert changed.policy == Shadow(shadow="20d", hold="2d")
    assert changed.history[-1].by.startswith("ana, said by ")
    assert changed.history[-1].sentence == "to see how it goes"


def test_a_policy_is_set_for_the_releases_to_come(form: Callable[..., Any], lived_in: Any) -> None:
    found = form("/models/flights/late", "start")
    found.locator("button:text-is('set as its policy')").click()
    fault = found.locator("label:has([name=policy]) .fault")
    fault.wait_for()
    assert fault.inner_text().startswith("is missing")
    found.locator("[name=policy]").select_option("shadow")
    found.locator("fieldset:not([hidden]) [data-policy=slices]").fill("distance")
    with found.page.expect_navigation():
        found.locator("button:text-is('set as its policy')").click()
    assert "shadow, the model’s own" in found.page.locator("[name=policy] option").first.inner_text()
    assert decode_policy(lived_in.platform.registry.model(None, lived_in.model).release) == Shadow(slices=("distance",))
    lived_in.platform.releases.set_policy(lived_in.model, Canary(), by="ana", reason="only to set it")
