"""A retraining whose job died, with its worker or with control, is taken up again or ends with a reason."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import Home
from mainspring.edges.processes import Process
from mainspring.kernel.errors import MainspringError
from mainspring.loop.retrainings import advance, propose, retrainings_of
from mainspring.platform import Platform


@pytest.fixture
def worthwhile(place: Path, open_home: Callable[..., Any]) -> Path:
    """The home with a retraining that a backtest has found to be worthwhile; its trainer is told to hold."""
    with open_home(Home(place / "home")) as platform:
        model = platform.registry.model(None, "late")
        id = propose(platform.store, model.id, "schedule", "30 days since the last one", project=model.project)
        advance(platform.store, id, "worthwhile", "it would have helped", {}, project=model.project)
    (place / "tmp" / "hold").touch()
    return place


def state(platform: Platform) -> tuple[str, str]:
    with platform.store.read() as connection:
        (row,) = retrainings_of(connection, platform.registry.model(None, "late").id)
    return row["state"], row["reason"]


def lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def worker_of(site: Any, place: Path) -> int:
    file = place / "tmp" / "training"
    site.wait(lambda: file.exists() and file.read_text())
    pid = int(file.read_text())
    file.unlink()
    return pid


def finished(site: Any) -> bool:
    site.verb("loop step")  # it also turns by itself, every five seconds
    return bool(site.verb("ledger list", kind="retraining.finished"))


def test_control_killed_while_it_trains_trains_again_and_leaves_no_orphan(
    worthwhile: Path, new_site: Callable[..., Any], kill_process: Callable[[Process], None], check: Callable[..., None],
    open_home: Callable[..., Any],
) -> None:  # fmt: skip
    site = new_site()
    site.client(pause_s=0.05)
    first = worker_of(site, worthwhile)
    kill_process(site.up.control)
    site.wait(lambda: not lives(first), 5)
    site.up.control.start()
    second = worker_of(site, worthwhile)
    (worthwhile / "tmp" / "hold").unlink()
    site.wait(lambda: finished(site))
    site.stop()
    assert not lives(second)
    with open_home(site.home) as platform:
        model = platform.registry.model(None, "late")
        assert state(platform) == ("finished", "its release has ended")
        assert [version.number for version in platform.registry.versions(model.id)] == [1, 2, 3]
        assert platform.registry.alias(model.id, "champion").number == 3
    check(site.home, site.told)


def test_a_killed_worker_ends_the_retraining_with_a_reason(
    worthwhile: Path, new_site: Callable[..., Any], open_home: Callable[..., Any]
) -> None:
    site = new_site()
    os.kill(worker_of(site, worthwhile), signal.SIGKILL)
    site.wait(lambda: site.verb("ledger list", kind="retraining.dropped"))
    site.stop()
    with open_home(site.home) as platform:
        assert state(platform) == ("dropped", "train: was ended by SIGKILL")
        assert [run.status for run in platform.training.runs(platform.registry.model(None, "late").id)] == ["failed"]


def test_control_told_to_stop_while_it_trains_trains_again_after_the_next_start(
    worthwhile: Path, new_site: Callable[..., Any], open_home: Callable[..., Any]
) -> None:
    site = new_site()
    pid = worker_of(site, worthwhile)
    site.stop()
    assert site.up.control.exit_code == 0
    assert not lives(pid)
    with open_home(site.home) as platform:
        assert state(platform) == ("worthwhile", "it would have helped")
    (worthwhile / "tmp" / "hold").unlink()
    site.start()
    site.wait(lambda: finished(site))


@pytest.mark.parametrize("point", ["loop.before_advance", "loop.before_advance:2"], ids=["trained", "released"])
def test_control_killed_between_the_steps_of_a_retraining_does_each_of_them_once(
    worthwhile: Path,
    new_site: Callable[..., Any],
    open_home: Callable[..., Any],
    check: Callable[..., None],
    point: str,
) -> None:
    (worthwhile / "tmp" / "hold").unlink()
    site = new_site()
    site.client(pause_s=0.05)  # new rows: another training would give another version

    def step_until_it_dies() -> None:
        while site.up.control.exit_code is None:
            with suppress(MainspringError):
                if site.control_answers():
                    site.verb("loop step")
            time.sleep(0.02)

    site.crash_control_at(point, step_until_it_dies)
    site.wait(lambda: finished(site))
    site.stop()
    with open_home(site.home) as platform:
        model = platform.registry.model(None, "late")
        assert state(platform) == ("finished", "its release has ended")
        assert [version.number for version in platform.registry.versions(model.id)] == [1, 2, 3]
        assert [release.status for release in platform.releases.list(model.id)] == ["promoted"]
    check(site.home, site.told)


def test_control_killed_just_after_a_backtest_does_not_judge_twice(
    place: Path, new_site: Callable[..., Any], open_home: Callable[..., Any], check: Callable[..., None]
) -> None:
    with open_home(Home(place / "home")) as platform:
        model = platform.registry.model(None, "late")
        propose(platform.store, model.id, "schedule", "30 days since the last one", project=model.project)
    site = new_site()
    site.client(pause_s=0.05)  # new rows: another backtest would be of others

    def step_until_it_dies() -> None:
        while site.up.control.exit_code is None:
            with suppress(MainspringError):
                if site.control_answers():
                    site.verb("loop step")
            time.sleep(0.02)

    site.crash_control_at("loop.before_advance", step_until_it_dies)
    site.wait(lambda: site.control_answers() and site.verb("ledger list", kind="retraining.dropped"))
    judged = site.verb("ledger list", kind="backtest.judged")
    site.stop()
    assert len(judged) == 1
    with open_home(site.home) as platform:
        assert state(platform)[0] == "dropped"
        (found,) = platform.backtests.of(platform.registry.model(None, "late").id)
        assert found.retraining.startswith("rtr_")
    check(site.home, site.told)
