"""When a process is said to stand still: what was seen counts, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from mainspring.adapters.pulse import Patience, Pulse, Turning, feel, feel_all, turning


def test_a_process_that_stands_still_is_given_up_after_the_stated_time_of_looking() -> None:
    patience = Patience(5.0)
    looks = [patience.has_ended(beat=1, at_work=False, now_s=float(now_s)) for now_s in range(8)]
    assert looks == [False, False, False, False, False, True, True, True]


def test_one_that_turns_is_never_given_up_and_begins_anew_with_each_turn() -> None:
    patience = Patience(3.0)
    assert not any(patience.has_ended(beat=now_s // 2, at_work=False, now_s=float(now_s)) for now_s in range(100))


def test_one_that_is_at_work_is_never_given_up_however_long() -> None:
    patience = Patience(3.0)
    assert not any(patience.has_ended(beat=1, at_work=True, now_s=float(now_s)) for now_s in range(10_000))


def test_a_machine_that_was_suspended_for_an_hour_takes_nobody_for_dead() -> None:
    patience = Patience(30.0)
    assert not patience.has_ended(beat=1, at_work=False, now_s=0.0)
    assert not patience.has_ended(beat=1, at_work=False, now_s=3_600.0)
    assert not patience.has_ended(beat=2, at_work=False, now_s=3_600.1)
    assert patience.still_s == 0.0


def test_whoever_waits_for_the_processor_or_the_disk_or_a_debugger_is_at_work() -> None:
    before = Turning("S", 10)
    assert [Turning(state, 10).is_at_work(before) for state in "RDtST"] == [True, True, True, False, False]
    assert Turning("S", 11).is_at_work(before)


def test_a_pulse_tells_thread_and_time_and_is_gone_with_its_process(tmp_path) -> None:
    pulse = Pulse(tmp_path, "gateway-1")
    assert feel(tmp_path, "gateway-1") is None
    pulse.begin()
    felt = feel(tmp_path, "gateway-1")
    assert felt is not None
    assert (felt.name, felt.pid, felt.thread) == ("gateway-1", os.getpid(), threading.get_native_id())
    os.utime(tmp_path / "gateway-1.pulse", (time.time() - 60, time.time() - 60))
    (old,) = feel_all(tmp_path)
    assert 59 < old.silent_s < 120
    pulse.beat()
    again = feel(tmp_path, "gateway-1")
    assert again is not None
    assert again.beat != old.beat
    pulse.end()
    assert feel_all(tmp_path) == []
    made = f"Pulse(Path({str(tmp_path)!r}), 'x')"
    code = f"from pathlib import Path; from mainspring.adapters.pulse import Pulse; {made}.begin()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "x.pulse").exists()
    assert feel(tmp_path, "x") is None


def test_a_thread_that_spins_is_seen_to_use_the_processor_and_one_that_sleeps_is_not() -> None:
    if sys.platform != "linux":
        return
    over = threading.Event()
    ids: list[int] = []

    def spin() -> None:
        ids.append(threading.get_native_id())
        while not over.is_set():
            pass

    def sleep() -> None:
        ids.append(threading.get_native_id())
        over.wait()

    threads = [threading.Thread(target=target) for target in (spin, sleep)]
    for thread in threads:
        thread.start()
        while len(ids) < threads.index(thread) + 1:
            time.sleep(0.01)
    try:
        before = [turning(os.getpid(), id) for id in ids]
        time.sleep(0.3)
        after = [turning(os.getpid(), id) for id in ids]
        assert [one.is_at_work(other) for one, other in zip(after, before, strict=True)] == [True, False]
    finally:
        over.set()
        for thread in threads:
            thread.join()
