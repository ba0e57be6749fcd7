"""A script waits for a release: the exit code says how it ended."""

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.edge.api.conftest import declare

from mainspring.adapters.home import Home, create_home
from mainspring.edges.api.server import ControlServer
from mainspring.edges.cli.commands import run
from mainspring.platform import open_platform
from mainspring.release.policy import Canary


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a release that runs; its id stands in the file ``release``."""
    home = create_home(tmp_path / "home")
    with closing(open_platform(home)) as platform:
        model = declare(platform, 3)
        version = platform.registry.by_number(model, 2).id
        release = platform.releases.start(model, version, Canary(), by="eve (user)", reason="try it")
    (home.root / "release").write_text(release.id)
    return home.root


def wait(home: Path, at_most: str) -> int:
    return run(["release", "wait", (home / "release").read_text(), "--at-most", at_most, "--home", str(home)])


@pytest.mark.parametrize(("order", "code", "said"), [("promote", 0, "promoted: "), ("abort", 3, "aborted: ")])
def test_who_waits_is_told_how_it_ended(
    home: Path, order: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(open_platform(Home(home))) as platform, ControlServer(platform):
        act = getattr(platform.releases, order)
        release = (home / "release").read_text()
        later = threading.Timer(1.0, act, (release,), {"by": "eve (user)", "reason": "as agreed"})
        later.start()
        assert wait(home, "5m") == code
        later.join()
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"{release}  running in shadow: it has just begun"
    assert last == f"{release}  {said}as agreed"


def test_a_control_that_is_started_again_meanwhile_ends_no_waiting(home: Path) -> None:
    release, told = (home / "release").read_text(), threading.Event()

    def start_again(first: ControlServer) -> None:
        time.sleep(1.0)
        first.__exit__(None, None, None)
        time.sleep(2.0)
        with ControlServer(platform):
            platform.releases.promote(release, by="eve (user)", reason="as agreed")
            told.wait(120.0)

    with closing(open_platform(Home(home))) as platform:
        restart = threading.Thread(target=start_again, args=(ControlServer(platform).__enter__(),))
        restart.start()
        try:
            assert wait(home, "5m") == 0
        finally:
            told.set()
            restart.join()


def test_who_waited_long_enough_is_told_that_it_is_not_over(home: Path) -> None:
    with closing(open_platform(Home(home))) as platform, ControlServer(platform):
        assert wait(home, "300ms") == 4


def test_nobody_waits_where_nothing_would_be_decided(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert wait(home, "5m") == 1
    assert "control: does not run, so nothing would be decided" in capsys.readouterr().err
