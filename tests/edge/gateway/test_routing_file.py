from __future__ import annotations

from pathlib import Path

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.routing import RoutingFile
from mainspring.kernel.errors import Damaged
from mainspring.serving.routing import Routing


@pytest.fixture
def file(tmp_path: Path) -> RoutingFile:
    return RoutingFile(tmp_path / "routing", LocalDisk())


def test_what_was_written_is_read(file: RoutingFile) -> None:
    assert file.read() is None
    assert file.mark() is None
    file.write(Routing(7, written_us=5))
    assert file.read() == Routing(7, written_us=5)


def test_every_replacement_shows_in_the_mark(file: RoutingFile) -> None:
    marks = []
    for generation in range(5):
        file.write(Routing(generation, written_us=5))
        marks.append(file.mark())
    assert len(set(marks)) == 5


@pytest.mark.parametrize("place", [0, 25, 60, 100, -1])
def test_a_changed_byte_is_found(file: RoutingFile, tmp_path: Path, place: int) -> None:
    file.write(Routing(7, written_us=5))
    current = tmp_path / "routing" / "current"
    body = bytearray(current.read_bytes())
    body[place] ^= 1
    current.write_bytes(body)
    with pytest.raises(Damaged):
        file.read()


def test_workers_say_what_they_answer_by_and_what_they_took_out(file: RoutingFile) -> None:
    file.acknowledge("gateway-0", 3, pid=10)
    file.acknowledge("gateway-1", 4, pid=11, disabled={"ver_2": "5 of 5 requests failed"})
    file.acknowledge("gateway-0", 4, pid=10)
    assert {worker: generation for worker, (generation, _) in file.acknowledgements().items()} == {
        "gateway-0": 4,
        "gateway-1": 4,
    }
    assert file.workers()["gateway-1"].disabled == {"ver_2": "5 of 5 requests failed"}
    file.withdraw("gateway-1")
    assert list(file.workers()) == ["gateway-0"]
