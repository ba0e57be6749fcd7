"""Who approves is who really asked, by every edge: command, HTTP, page, key."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.edge.api.conftest import Client, declare

from mainspring.adapters.home import Home, create_home
from mainspring.edges.api.server import ControlServer
from mainspring.edges.cli.commands import run
from mainspring.edges.person import local_user
from mainspring.platform import open_platform
from mainspring.release.policy import Approval, Immediate

ME = local_user()
WHY = "the sample looks right"
ASKS = Immediate(approval=Approval(role="risk"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a release that waits for who has the role risk: the key dora, or the user of ``settings``."""
    home = create_home(tmp_path / "home")
    (home.root / "settings.toml").write_text('[roles]\nrisk = ["key:dora", "user:nobody else"]\n')
    with closing(open_platform(home)) as platform:
        model = declare(platform, 3)
        platform.releases.set_policy(model, ASKS, by="eve (user)", reason="a person signs")
        platform.releases.start(model, platform.registry.by_number(model, 2).id, by="eve (user)", reason="try it")
    return home.root


class Control:
    """A running control over the home; its CLI, API and page."""

    def __init__(self, home: Path, server: ControlServer, platform: Any) -> None:
        self.home, self.address, self.platform = home, server.address, platform
        (self.model,) = platform.registry.models()
        (self.release,) = platform.releases.running(self.model.id)

    def key(self, name: str, role: str) -> str:
        roles = role.split(",")
        return str(self.platform.keys.create(name, roles, lasts=None, by="eve (user)", reason="hers").key)

    def approve(self, token: str, **headers: str) -> tuple[int, dict[str, Any]]:
        ask = Client(self.address.port, token)
        order = {"release": self.release.id, "reason": WHY}
        return ask("POST", "/api/release/approve", order, **headers)[:2]


@pytest.fixture
def control(home: Path) -> Iterator[Control]:
    with closing(open_platform(Home(home))) as platform, ControlServer(platform) as server:
        yield Control(home, server, platform)


def command(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, where the environment may lie as it likes."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("mainspring")), *words, "--home", str(home)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


APPROVE = ("release", "approve", "late", "--reason", WHY)
LIES = {"--by": ("--by", "dora"), "--by known": ("--by", "dora (key_1)"), "said": ("--by", "x, said by dora (key_1)")}
ENVIRONMENTS = {"MAINSPRING_ACTOR": "dora", "LOGNAME": "nobody else", "USER": "nobody else", "SUDO_USER": "nobody else"}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("up", [True, False])
def test_a_command_cannot_approve_in_anothers_name(
    home: Path, lie: str, up: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*APPROVE, *LIES[lie], "--home", str(home)]
    if up:
        with closing(open_platform(Home(home))) as platform, ControlServer(platform):
            assert run(words) == 1
    else:
        assert run(words) == 1
    assert f"by: has not the role risk (got {ME!r}); ask key:dora or user:nobody else" in capsys.readouterr().err


def test_no_variable_of_the_environment_makes_a_command_somebody_else(home: Path) -> None:
    ended = command(home, *APPROVE, **ENVIRONMENTS)
    assert ended.returncode == 1
    assert f"has not the role risk (got {ME!r})" in ended.stderr


def test_a_command_approves_as_the_user_of_the_system_and_the_ledger_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = home / "settings.toml"
    settings.write_text(settings.read_text().replace("nobody else", ME))
    assert run([*APPROVE, "--by", "on call", "--home", str(home), "--json"]) == 0
    approved = msgspec.json.decode(capsys.readouterr().out)["approved"]
    assert approved["by"] == f"on call, said by {ME} (user)"
    assert run(["ledger", "list", "--kind", "release.approved", "--home", str(home), "--json"]) == 0
    (entry,) = msgspec.json.decode(capsys.readouterr().out)
    assert entry["actor"] == f"on call, said by {ME} (user)"


def test_a_header_makes_the_holder_of_a_token_nobody_else(control: Control) -> None:
    for token in (control.address.token, control.address.page_token):
        status, answer = control.approve(token, X_Mainspring_Actor="dora")
        assert (status, answer["field"]) == (403, "by")
        assert answer["message"].startswith(f"by: has not the role risk (got {ME!r})")


def test_the_page_approves_in_the_name_of_whom_its_token_was_given_to(home: Path) -> None:
    settings = home / "settings.toml"
    settings.write_text(settings.read_text().replace("nobody else", ME))
    with closing(open_platform(Home(home))) as platform, ControlServer(platform) as server:
        status, answer = Control(home, server, platform).approve(server.address.page_token, X_Mainspring_Actor="Zo")
    assert (status, answer["approved"]["by"]) == (200, f"Zo, said by {ME} (page)")


def test_the_pages_token_opens_nothing_that_is_the_owners(control: Control) -> None:
    page = Client(control.address.port, control.address.page_token)
    body = {"name": "dora", "role": "approve:risk", "reason": "mine"}
    status, answer, _ = page("POST", "/api/key/create", body)
    assert (status, answer["field"]) == (403, "role")
    assert control.platform.keys.list() == []


@pytest.mark.parametrize(
    ("name", "role", "status"),
    [
        ("dora", "operate", 200),  # named in the settings
        ("dora", "approve", 200),
        ("dan", "approve:risk", 200),  # the key itself has the role
        ("dan", "approve:other", 403),
        ("dan", "operate", 403),
        ("dan", "read", 403),
        ("nobody else", "operate", 403),  # that is a user, not a key
    ],
)
def test_a_key_approves_by_its_name_or_its_own_role(control: Control, name: str, role: str, status: int) -> None:
    found, answer = control.approve(control.key(name, role), X_Mainspring_Actor="dora")
    assert found == status, answer
    if status == 200:
        (key,) = control.platform.keys.list()
        assert answer["approved"]["by"] == f"{name} ({key.id})"


def test_a_key_that_may_only_approve_starts_and_promotes_nothing(control: Control) -> None:
    ask = Client(control.address.port, control.key("dora", "approve:risk"))
    for path, body in (
        ("start", {"model": "late", "version": "3"}), ("promote", {"release": control.release.id}),
        ("abort", {"release": control.release.id}),
    ):  # fmt: skip
        status, answer, _ = ask("POST", f"/api/release/{path}", {**body, "reason": WHY})
        assert (status, answer["field"]) == (403, "role")


def test_a_command_takes_a_key_in_place_of_the_homes_token(control: Control) -> None:
    refused = command(control.home, *APPROVE, MAINSPRING_KEY=control.key("dan", "operate"))
    assert "has not the role risk (got 'dan')" in refused.stderr
    done = command(control.home, *APPROVE, "--by", "eve", "--json", MAINSPRING_KEY=control.key("dora", "operate"))
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["approved"]["by"].startswith("dora (key_")


def test_a_key_without_a_control_that_checks_it_is_nobody(home: Path) -> None:
    ended = command(home, *APPROVE, MAINSPRING_KEY="key_1.guess")
    assert "a key is checked by control, and none runs" in ended.stderr


PASSED_BY = {
    "a policy that asks nobody": ("release/start", {"version": "3", "policy": {"type": "immediate"}}),
    "an approval by anybody": ("release/start", {"version": "3", "policy": {"type": "canary", "approval": {}}}),
    "the alias by hand": ("alias/set", {"version": "3", "alias": "champion"}),
    "another policy for the model": ("policy/set", {"policy": {"type": "canary"}}),
}


@pytest.mark.parametrize("way", PASSED_BY)
def test_no_other_way_to_the_champion_goes_past_the_approval(control: Control, way: str) -> None:
    path, body = PASSED_BY[way]
    status, answer, _ = Client(control.address.port, control.address.token)(
        "POST", f"/api/{path}", {"model": "late", "reason": WHY, **body}
    )
    assert (status, answer["field"]) == (403, "approval")
    assert "asks for approval by somebody with the role risk: by: has not the role risk" in answer["message"]
    dora = Client(control.address.port, control.key("dora", "operate"))
    assert dora("POST", f"/api/{path}", {"model": "late", "reason": WHY, **body})[0] == 200


def test_promoting_by_hand_waits_for_the_approval_whoever_asks(control: Control) -> None:
    dora = Client(control.address.port, control.key("dora", "operate"))
    status, answer, _ = dora("POST", "/api/release/promote", {"release": control.release.id, "reason": WHY})
    assert (status, answer["message"].split(";")[0]) == (409, "release: needs its approval first")


def test_where_two_people_are_asked_for_not_even_one_who_may_approve_goes_alone(control: Control) -> None:
    two = Immediate(approval=Approval(role="risk", not_starter=True))
    control.platform.releases.set_policy(control.model.id, two, by="dora (key_1)", reason="two people from now on")
    dora = Client(control.address.port, control.key("dora", "operate"))
    for path, body in PASSED_BY.values():
        status, answer, _ = dora("POST", f"/api/{path}", {"model": "late", "reason": WHY, **body})
        assert (status, answer["field"]) == (403, "approval")
    assert dora("POST", "/api/release/start", {"model": "late", "version": "3", "reason": WHY})[0] == 200
    (mine,) = [one for one in control.platform.releases.running(control.model.id) if one.challenger_number == 3]
    status, answer, _ = dora("POST", "/api/release/approve", {"release": mine.id, "reason": WHY})
    assert (status, "somebody else must approve it" in answer["message"]) == (403, True)
