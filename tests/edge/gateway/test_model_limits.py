"""Models that go wrong as processes: each ends or is held back with a stated result, and is started again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.frames import ProcessLimits, socket_path
from mainspring.adapters.runtimes.launching import broken_file, words_file
from mainspring.adapters.runtimes.process import ask_and_wait, listens
from mainspring.adapters.runtimes.supervisor import ModelProcesses
from mainspring.adapters.runtimes.words import KEPT_BYTES, tail
from mainspring.kernel.errors import Unavailable
from mainspring.kernel.schema import Column
from mainspring.registry.model import Batching
from mainspring.serving.routing import Routing
from mainspring.testing.models import model_route, routing, rule_version

INPUTS = (Column("distance", "float", True), Column("carrier", "str"))
LIMITS = ProcessLimits(memory_bytes=400 << 20, file_bytes=1 << 20)
WAIT_S = 60.0


def wait_for(true: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.02)


class Site:
    """A supervisor of one rule, as a home has it."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.blobs = FileBlobs(folder / "blobs", LocalDisk())
        self.processes = ModelProcesses(run=self.run, blobs=folder / "blobs", limits=LIMITS)
        self.routing: Routing | None = None

    def serve(self, code: str, **changes: object) -> None:
        version = rule_version(self.blobs, "ver_1", 1, code, INPUTS)
        self.routing = routing(1, model_route(version, **changes), [version])
        self.wait_for(lambda: listens(socket_path(self.run, "ver_1")))

    def wait_for(self, true: Callable[[], bool]) -> None:
        def looked() -> bool:
            assert self.routing is not None
            self.processes.reconcile(self.routing)
            return true()

        wait_for(looked)

    def answer(self, distance: float) -> float | None:
        return ask_and_wait(socket_path(self.run, "ver_1"), [(distance, "UA")], WAIT_S).values[0]

    def words(self) -> str:
        return tail(words_file(self.run, "ver_1"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.processes.stop()


LEAKS = """
held = []
def answer(frame, params):
    if frame["distance"][0] > 0:
        held.append(bytearray(500 << 20))
    return [0.5] * len(frame)
"""


def test_a_process_that_holds_too_much_memory_is_ended_with_the_reason_and_started_again(site: Site) -> None:
    site.serve(LEAKS)
    first = site.processes.pids()["ver_1"]
    with suppress(Unavailable):  # it may be ended before or after it answered
        site.answer(1.0)
    site.wait_for(lambda: site.processes.pids().get("ver_1", first) != first)
    site.wait_for(lambda: listens(socket_path(site.run, "ver_1")))
    assert site.answer(0.0) == 0.5
    assert "and may hold 400 MiB" in site.words()
    assert "it held more memory than it may (code 71); it is started again in" in site.words()


def test_a_process_that_asks_for_far_too_much_at_once_is_refused_it_and_lives_on(site: Site) -> None:
    site.serve("def answer(frame, params):\n    bytearray(int(frame['distance'][0]))\n    return [0.5]\n")
    found = ask_and_wait(socket_path(site.run, "ver_1"), [(2e9, "UA")], WAIT_S)
    assert found.faults == {0: "failed: MemoryError: "}
    assert site.answer(1.0) == 0.5


def test_of_a_model_that_prints_without_end_the_last_words_are_kept_and_it_answers(site: Site) -> None:
    site.serve("def answer(frame, params):\n    print('x' * 4_000_000 + ' the end')\n    return [0.5]\n")
    assert site.answer(1.0) == 0.5
    wait_for(lambda: site.words().endswith(" the end\n"))
    files = sorted(site.run.glob("ver_1.log*"))
    assert [path.name for path in files] == ["ver_1.log", "ver_1.log.1"]
    assert sum(path.stat().st_size for path in files) <= 2 * KEPT_BYTES


def test_a_model_cannot_write_a_file_larger_than_it_may_nor_open_too_many(site: Site) -> None:
    code = """
import os, resource
def answer(frame, params):
    try:
        open("big", "wb").write(bytes(2 << 20))
    except OSError:
        bounded = resource.getrlimit(resource.RLIMIT_NOFILE) == (256, 256)
        bounded &= resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        bounded &= resource.getrlimit(resource.RLIMIT_NPROC)[0] > 0
        return [0.25 if bounded else 0.75]
    return [1.0]
"""
    site.serve(code)
    assert site.answer(1.0) == 0.25


def test_a_process_that_gives_no_sign_of_life_is_killed_and_started_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainspring.adapters.runtimes.supervisor._PATIENCE_S", 2.0)
    holds_the_lock = "import ctypes\ndef answer(frame, params):\n    ctypes.PyDLL(None).sleep(600)\n    return [0.5]\n"
    site.serve(holds_the_lock, deadline_ms=10)
    first = site.processes.pids()["ver_1"]
    with pytest.raises((Unavailable, OSError)):
        _ask_while(site)
    site.wait_for(lambda: site.processes.pids().get("ver_1", first) != first)
    assert "it was ended by SIGKILL; it is started again in" in site.words()


def _ask_while(site: Site) -> None:
    import threading

    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            assert site.routing is not None
            site.processes.reconcile(site.routing)
            time.sleep(0.05)

    supervising = threading.Thread(target=look)
    supervising.start()
    try:
        site.answer(1.0)
    finally:
        stop.set()
        supervising.join()


CHILDREN = """
import subprocess, sys, os
def answer(frame, params):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if frame["distance"][0] > 0:
        os._exit(9)
    return [child.pid / 1e8]
"""


def is_alive(pid: float | None) -> bool:
    try:
        os.kill(round((pid or 0) * 1e8), 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_model_starts_is_ended_with_its_process(site: Site) -> None:
    site.serve(CHILDREN)
    first = site.processes.pids()["ver_1"]
    child = site.answer(0.0)
    assert is_alive(child)
    with suppress(Unavailable):
        site.answer(1.0)
    site.wait_for(lambda: site.processes.pids().get("ver_1", first) != first)
    site.wait_for(lambda: listens(socket_path(site.run, "ver_1")))
    wait_for(lambda: not is_alive(child))
    assert "it ended with code 9" in site.words()
    another = site.answer(0.0)
    site.processes.stop()
    wait_for(lambda: not is_alive(another))


OPENS = """
import socket
held = []
def answer(frame, params):
    while frame["distance"][0] > 0:
        held.append(socket.socket())
    return [0.5]
"""
CLOSES = """
import os, stat
def answer(frame, params):
    for fd in range(3, 100):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
        except OSError:
            pass
    return [0.5]
"""
CLOSES_THE_DOOR = """
import os, socket, stat
def answer(frame, params):
    for fd in range(3, 100):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                if socket.socket(fileno=os.dup(fd)).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    os.close(fd)
        except OSError:
            pass
    return [0.5]
"""
HALF = """
import os, stat
def answer(frame, params):
    for fd in range(3, 100):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, b"\\x40\\0\\0\\0half")
        except OSError:
            pass
    os._exit(4)
"""


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (OPENS, "it held as many open files as it may, and could be asked no more (code 72)"),
        (CLOSES, "it ended with code 1"),
        (CLOSES_THE_DOOR, "its code closed its socket (code 73)"),
        (HALF, "it ended with code 4"),
    ],
    ids=["opens sockets", "closes all sockets", "closes the socket that it is asked at", "writes half an answer"],
)
def test_a_process_that_can_be_asked_no_more_ends_and_is_started_again(site: Site, code: str, how: str) -> None:
    site.serve(code)
    first = site.processes.pids()["ver_1"]
    with suppress(Unavailable, OSError):
        site.answer(1.0)
    some = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for one in some:  # others who want to ask it
        with suppress(OSError):
            one.connect(str(socket_path(site.run, "ver_1")))
    site.wait_for(lambda: site.processes.pids().get("ver_1", first) != first)
    for one in some:
        one.close()
    assert how in site.words()
    site.wait_for(lambda: listens(socket_path(site.run, "ver_1")))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("[0.5] * (len(frame) + 1)", "failed: model: the model answered 2 rows for 1"),
        ("[]", "failed: model: the model answered 0 rows for 1"),
        ("[float('nan')]", "invalid"),
        ("[float('inf')]", "invalid"),
        ("[None]", "invalid"),
        ("['many']", "failed: ValueError: could not convert string to float: 'many'"),
        ("None", "failed: TypeError: 'NoneType' object is not iterable"),
        ("[[0.5]]", "failed: TypeError: float() argument must be a string or a real number, not 'list'"),
        ("exit(3)", "failed: SystemExit: 3"),
    ],
)
def test_an_answer_that_is_none_is_a_fault_of_its_row_and_the_process_lives_on(
    site: Site, answer: str, fault: str
) -> None:
    site.serve(f"def answer(frame, params):\n    return {answer} if frame['distance'][0] > 0 else [0.25]\n")
    found = ask_and_wait(socket_path(site.run, "ver_1"), [(1.0, "UA")], WAIT_S)
    assert (found.values, found.faults) == ((None,), {0: fault})
    assert site.answer(0.0) == 0.25
    assert site.words() == ""


@pytest.mark.parametrize(
    ("code", "how", "said"),
    [
        ("import no_such_module\ndef answer(frame, params): ...\n", "it ended with code 1", "No module named"),
        ("import os\nos._exit(7)\n", "it ended with code 7", ""),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "it was ended by SIGSEGV", ""),
        ("raise SystemExit\n", "it ended with code 0", ""),
        ("", "it ended with code 1", "has no attribute 'answer'"),
    ],
)
def test_a_model_that_dies_while_it_is_loaded_is_tried_again_at_growing_distances(
    site: Site, code: str, how: str, said: str
) -> None:
    version = rule_version(site.blobs, "ver_1", 1, code, INPUTS)
    site.routing = routing(1, model_route(version), [version])
    site.wait_for(lambda: f"{how}; it is started again in 0.4 s" in site.words())
    assert f"{how}; it is started again in 0.2 s" in site.words()
    assert said in site.words()
    assert broken_file(site.run, "ver_1").exists()  # gateways do not wait for it


def test_a_process_takes_up_another_batching_while_it_runs(site: Site) -> None:
    site.serve("def answer(frame, params):\n    return [len(frame) / 100] * len(frame)\n")
    pid = site.processes.pids()["ver_1"]
    assert site.routing is not None
    version = site.routing.versions[0]
    site.routing = routing(2, model_route(version, batching=Batching(max_rows=1), deadline_ms=500), [version])
    site.wait_for(lambda: b'"max_rows":1' in (site.run / "ver_1.launch.json").read_bytes())
    assert site.processes.pids()["ver_1"] == pid
