"""Two controls of one home on one database: the second stands by, takes over, and whoever was first writes no more."""

import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from mainspring.adapters.home import LEDGER_KEY
from mainspring.adapters.stores.opening import make_home
from mainspring.adapters.stores.postgres import PostgresStore
from mainspring.edges.api.address import read_address
from mainspring.edges.cli.asking import ask
from mainspring.edges.processes import free_port
from mainspring.edges.verbs import find
from mainspring.kernel.clock import SystemClock
from mainspring.kernel.errors import MainspringError
from mainspring.ledger.queries import entries, verify_chain

PATIENCE_S = 90.0


class Control:
    """A control process of one place of the home."""

    def __init__(self, home, *, standby=False):
        self.home = home
        command = [sys.executable, "-m", "mainspring.edges.control", "--home", str(home.root)]
        command += ["--port", str(free_port()), *(["--standby"] if standby else [])]
        self.log = (home.root / "run" / "control.log").open("ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def answers(self):
        found = read_address(self.home.root)
        return found is not None and found.process == self.process.pid

    def wait(self, condition):
        until_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until_s, self.said()
            time.sleep(0.05)

    def said(self):
        return (self.home.root / "run" / "control.log").read_text()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self.log.close()


@pytest.fixture
def places(tmp_path, postgres_url, monkeypatch):
    """Two folders of one home, as on two machines."""
    monkeypatch.setenv("MAINSPRING_STORE_LEASE", "2s")
    first = make_home(tmp_path / "first", postgres_url)
    started = []

    def start(home, **given):
        started.append(Control(home, **given))
        return started[-1]

    yield first, tmp_path / "second", start
    for control in started:
        control.end()


def join(folder, first, url):
    """Make a second folder of the home, with the key of the first, as its manual says."""
    home = make_home(folder, url)
    (home.root / LEDGER_KEY).write_bytes((first.root / LEDGER_KEY).read_bytes())
    assert home.file.id == first.file.id
    return home


def make_key(control, name):
    """Change something through a control."""
    values = {"name": name, "role": "read", "reason": name}
    return ask(find("key create"), values, home=control.home.root, by="ann")


def test_one_that_stands_by_takes_over_from_a_stopped_and_from_a_killed_control(places, postgres_url):
    first_home, folder, start = places
    first = start(first_home)
    first.wait(first.answers)
    make_key(first, "before")
    second = start(join(folder, first_home, postgres_url), standby=True)
    time.sleep(3.0)  # longer than the lease: a holder that lives keeps it
    assert not second.answers()

    first.process.send_signal(signal.SIGSTOP)
    second.wait(second.answers)
    make_key(second, "meanwhile")
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(PATIENCE_S) == 1
    assert "another control has taken over this home" in first.said()
    with pytest.raises(MainspringError):
        make_key(first, "never")

    third = start(first_home, standby=True)
    second.process.kill()
    third.wait(third.answers)
    make_key(third, "after")
    with closing(PostgresStore(postgres_url, SystemClock())) as store, store.read() as connection:
        assert verify_chain(connection, first_home.ledger_key()).verified
        reasons = [entry.reason for entry in entries(connection, kind="key.created")]
    assert reasons == ["before", "meanwhile", "after"]


def test_a_whole_place_that_stands_by_ends_when_it_is_told_and_leaves_the_home_alone(places, postgres_url):
    first_home, folder, start = places
    first = start(first_home)
    first.wait(first.answers)
    second = join(folder, first_home, postgres_url)
    words = ["--home", str(second.root), "--port", str(free_port()), "--control-port", str(free_port())]
    command = [sys.executable, "-m", "mainspring.edges.cli", "up", *words, "--standby"]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert "standing by" in waiting.stdout.readline()
    log = second.run / "control.log"
    first.wait(lambda: log.exists() and "in use by control" in log.read_text())
    waiting.terminate()
    waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 0
    make_key(first, "still here")
