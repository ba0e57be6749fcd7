"""Workers that share a port and each meet a part of a challenger's requests come to one judgement."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainspring.edges.gateway.hearsay import Hearsay
from mainspring.edges.gateway.tripwires import Tripwires
from mainspring.serving.routing import ReleaseRoute

RELEASE = ReleaseRoute("rel_1", 0, "s", "ver_2", 0.05)


class Worker:
    def __init__(self, run: Path, number: int, release: ReleaseRoute = RELEASE) -> None:
        self.release = release
        self.said = 0
        self.tripwires = Tripwires(self.tell, workers=2)
        self.tripwires.keep([release], {"ver_1", "ver_2"})
        self.hearsay = Hearsay(run, f"gateway-{number}")

    def tell(self) -> None:
        self.said += 1

    def answer(self, *failed: bool) -> None:
        for one in failed:
            self.tripwires.challenger_answered(self.release, "ver_2", one, "failed: it broke" if one else "")

    def turn(self) -> None:
        self.hearsay.tell(self.tripwires.tallies())
        for news in self.hearsay.hear():
            self.tripwires.hear(news)


def test_five_failures_take_a_challenger_out_whichever_worker_met_them(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, 1), Worker(tmp_path, 2)
    one.answer(True, True, True)
    one.turn()
    other.answer(True)
    other.turn()
    assert (one.tripwires.disabled, other.tripwires.disabled) == ({}, {})
    one.turn()
    other.answer(True)
    other.turn()
    one.turn()
    assert other.tripwires.disabled == {"ver_2": "5 of 5 requests failed, the last one: failed: it broke"}
    assert one.tripwires.disabled == {"ver_2": "5 of 5 requests failed, some of them at another worker"}
    assert (one.said, other.said) == (1, 1)


def test_what_was_heard_is_counted_once_and_told_to_nobody_as_ones_own(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, 1), Worker(tmp_path, 2)
    one.answer(True, True)
    for _ in range(10):
        one.turn()
        other.turn()
    assert (one.tripwires.disabled, other.tripwires.disabled) == ({}, {})
    assert other.tripwires.tallies()["rel_1"]["ver_2"].failures == 0
    assert one.tripwires.tallies()["rel_1"]["ver_2"].failures == 2


def test_what_could_not_be_written_down_is_told_again_once_it_can(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, 1), Worker(tmp_path, 2)
    (tmp_path / ".gateway-1.wires").mkdir()  # where it is written first
    one.answer(True, True, True)
    with pytest.raises(OSError, match="directory"):
        one.turn()
    (tmp_path / ".gateway-1.wires").rmdir()
    one.turn()
    other.turn()
    other.answer(True, True)
    assert list(other.tripwires.disabled) == ["ver_2"]


def test_answers_of_a_sound_challenger_at_one_worker_speak_for_it_at_the_other(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, 1), Worker(tmp_path, 2)
    other.answer(True, True, True)
    one.answer(*[False] * 20)
    one.turn()
    other.turn()
    other.answer(True)
    other.turn()
    assert other.tripwires.disabled == {}


def test_a_worker_that_began_anew_is_heard_from_its_beginning_and_another_release_not_at_all(tmp_path: Path) -> None:
    one = Worker(tmp_path, 1)
    late = Worker(tmp_path, 2, ReleaseRoute("rel_2", 0, "s", "ver_2", 0.05))
    one.answer(True, True, True, True)
    one.turn()
    late.turn()
    late.answer(True, True, True)
    assert late.tripwires.disabled == {}
    began_later = Worker(tmp_path, 2)
    began_later.turn()
    began_later.answer(True)
    assert list(began_later.tripwires.disabled) == ["ver_2"]
