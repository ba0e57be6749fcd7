"""Every file of a home that outlives its process has a version and a golden copy, which is read as it was written.

A golden file is never written anew. A format that changes gets another version and another golden file beside it, and
goes on reading the one before.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from mainspring.adapters.backup import Manifest, Stored
from mainspring.adapters.ciphers import AesGcm
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.erased import ErasedFile, read_erased
from mainspring.adapters.heads import HeadsFile
from mainspring.adapters.home import HomeFile
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import Damaged, Refused
from mainspring.kernel.ids import digest
from mainspring.kernel.schema import Column, Signature
from mainspring.ledger.chain import Head
from mainspring.log.ports import PartRef
from mainspring.log.rows import SCHEMAS
from mainspring.log.segments import read_policy
from mainspring.log.spool import Policy
from mainspring.loop.erasing import Again, Order, read_again, read_order
from mainspring.project.manifest import Revision
from mainspring.registry.version import Environment
from mainspring.release.evidence.gathered import Books
from mainspring.release.evidence.stream import Gate, Measured
from mainspring.release.gather import units_bytes, units_from
from mainspring.release.policy import (
    ABTest,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Immediate,
    Shadow,
    decode_policy,
)
from mainspring.release.rehearsal.deck import unpacked
from mainspring.serving.routing import (
    ArmRoute,
    HoldoutRoute,
    KeyRoute,
    ModelRoute,
    Package,
    ReleaseRoute,
    Routing,
    ShadowRoute,
    SourceRoute,
    VersionRoute,
    ViewRoute,
)


class Held(msgspec.Struct):
    """Parts of a release as the metadata store has them."""

    gate: Gate
    books: Books
    measured: Measured


SOURCE_CODE = Path(__file__).parents[2] / "src" / "mainspring"
GOLDEN = Path(__file__).parent / "golden"
ELSEWHERE = Path(__file__).parents[1] / "unit"

# Where the format of each file is kept, and its golden copies.
FORMATS = {
    "adapters/backup.py": [GOLDEN / "backup-1.json"],
    "adapters/erased.py": [GOLDEN / "erased-1.txt"],
    "adapters/home.py": [GOLDEN / "home-1.json", GOLDEN / "clock-1"],
    "adapters/latest/layout.py": [],  # the folder of another format is built again, from parts
    "adapters/latest/lmdb.py": [],
    "log/frame.py": [ELSEWHERE / "log" / "golden" / "frame-1.seg"],
    "log/records.py": [
        ELSEWHERE / "log" / "golden" / name for name in ("stopped-2.seg", "vectors-4.seg", "rows-4.seg")
    ],
    "log/spool.py": [GOLDEN / "policy-1.json"],
    "loop/erasing.py": [GOLDEN / "erasing-1.json", GOLDEN / "again-1.json"],
    "project/manifest.py": [GOLDEN / "revision-1.json"],
    "release/gather.py": [GOLDEN / "units-1"],
    "release/rehearsal/deck.py": [GOLDEN / "deck-2.npz"],
    "serving/packing.py": [ELSEWHERE / "serving" / "golden" / f"packing-{format}.json" for format in (1, 2)],
    "serving/routing.py": [GOLDEN / "routing-1"],
}
POLICY = Policy("durable", 5)
ORDER = Order("era_1", "ann-7731", b"salt", "cleo", "asked for on paper", 1_700_000_000_000_000)
HOME = HomeFile("hom_1", 1, "simulated", 1_700_000_000_000_000)
MANIFEST = Manifest(1, 1_700_000_000_000_000, {"home.json": Stored("ab" * 32, 71), "meta.db": Stored("cd" * 32, 4_096)})
REVISION = Revision("flights", "project.py", files={"late.py": "ab" * 32}, lock="cd" * 32)
UNITS = pl.DataFrame(
    {"unit_hash": [3, 2**64 - 1], "first_us": [10, 1_700_000_000_000_000]},
    schema={"unit_hash": pl.UInt64, "first_us": pl.Int64},
)
COLUMNS = (Column("id", "str"), Column("distance", "float", nullable=True))
PUSHED = SourceSpec(
    "orders", PushReader(), "placed", ("id",), known_after_us=0, columns=COLUMNS, subject="who", pii=("mail",)
)
ROUTING = Routing(
    generation=7,
    written_us=1_700_000_000_000_000,
    models=(
        ModelRoute(
            project="prj_1", project_name="flights", model="mdl_1", name="late", entity="id", unit="id", subject="who",
            columns=COLUMNS, champion="ver_1", pinned=("ver_1",), outcome_kind="bool",
            release=ReleaseRoute("rel_1", 2, "salt", "ver_2", 0.25, others=(ArmRoute("ver_3", 0.1),)),
            holdout=HoldoutRoute(0.05, "held"), shadows=(ShadowRoute("ver_2", "rel_1", 0.5),),
        ),
    ),
    versions=(
        VersionRoute(
            "ver_1", 1, Package({"model.onnx": "ab" * 32}, "onnx", in_gateway=True),
            Signature("binary", COLUMNS[1:], COLUMNS, {"orders": "recent.orders"}), views=("view_1",), threshold=0.4,
            environment=Environment("3.12", "linux", {"numpy": "2.0"}),
        ),
    ),
    views=(ViewRoute("view_1", "prj_1", ViewSpec("recent", "orders", ("id",), (Feature("n", "count"),)), "src_1"),),
    sources=(SourceRoute("prj_1", "flights", "src_1", PUSHED),),
    acknowledgement="durable",
    keys=(KeyRoute("key_1", "shop", "ef" * 32, ("predict",)),),
)  # fmt: skip
PARTS = {
    "requests": {"prediction_id": "b_1-1", "row": 0, "entity": "e1", "body": '{"a":1}', "idempotency_key": "k1"},
    "assignments": {"prediction_id": "b_1-1", "row": 0, "draw": 0.25, "propensity": 0.95, "actions": '{"v":1.0}'},
    "scored": {"prediction_id": "b_1-1", "row": 0, "output": 0.5, "decision": True, "typed": b"\x90"},
    "outcomes": {"entity": "e1", "value": 1.0, "event_us": 5, "known_us": 7},
}
SECRET = bytes(range(32))


def test_every_format_that_the_source_names_is_listed_here() -> None:
    named = {
        file.relative_to(SOURCE_CODE).as_posix()
        for file in SOURCE_CODE.rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if node.targets[0].id in ("FORMAT", "VERSION") or node.targets[0].id.endswith(("_FORMAT", "_VERSION"))
        if isinstance(node.value, ast.Constant) and node.value.value in (1, 2, 3, 4, b"\x01")
    }
    assert named == set(FORMATS)
    assert all(golden.exists() for goldens in FORMATS.values() for golden in goldens)


@pytest.mark.parametrize(
    ("name", "value"),
    [("policy-1.json", POLICY), ("erasing-1.json", ORDER), ("home-1.json", HOME), ("backup-1.json", MANIFEST),
     ("revision-1.json", REVISION)],
)  # fmt: skip
def test_a_file_of_json_is_read_as_it_was_written(name: str, value: Any) -> None:
    assert msgspec.json.decode((GOLDEN / name).read_bytes(), type=type(value)) == value


@pytest.mark.parametrize(
    ("name", "written"),
    [("policy-1.json", msgspec.json.encode(POLICY)), ("erasing-1.json", msgspec.json.encode(ORDER)),
     ("home-1.json", msgspec.json.encode(HOME)), ("units-1", units_bytes(UNITS))],
)  # fmt: skip
def test_a_format_has_not_changed(name: str, written: bytes) -> None:
    assert written == (GOLDEN / name).read_bytes()


def test_a_policy_of_a_later_version_is_refused_and_a_damaged_one_is_the_weakest() -> None:
    golden = (GOLDEN / "policy-1.json").read_bytes()
    assert read_policy(golden) == POLICY
    with pytest.raises(Damaged, match="newer version"):
        read_policy(golden.replace(b'"version":1', b'"version":2'))
    assert read_policy(golden[:20]).acknowledgement == "best_effort"


def test_an_order_to_erase_of_a_later_version_is_refused() -> None:
    golden = (GOLDEN / "erasing-1.json").read_bytes()
    assert read_order(golden) == ORDER
    with pytest.raises(Refused, match="newer version"):
        read_order(golden.replace(b'"version":1', b'"version":2'))
    again = (GOLDEN / "again-1.json").read_bytes()
    assert read_again(again) == Again({"ab" * 32: 1_700_000_000_000_000})
    with pytest.raises(Refused, match="newer version"):
        read_again(again.replace(b'"version":1', b'"version":2'))


def test_the_list_of_who_was_erased_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_erased(GOLDEN / "erased-1.txt") == {"ab" * 32: 20, "cd" * 32: 1_700_000_000_000_000}
    shutil.copy(GOLDEN / "erased-1.txt", tmp_path / "erased")
    ErasedFile(str(tmp_path / "erased")).keep("ef" * 32, 30)  # after a line that a crash cut off
    assert read_erased(tmp_path / "erased")["ef" * 32] == 30
    assert len(read_erased(tmp_path / "erased")) == 3
    (tmp_path / "erased").write_text(f"2 20 {'ab' * 32}\n")
    with pytest.raises(Damaged, match="newer version"):
        read_erased(tmp_path / "erased")


def test_the_routing_is_read_as_it_was_written_and_another_format_is_refused(tmp_path: Path) -> None:
    file = RoutingFile(tmp_path, LocalDisk())
    shutil.copy(GOLDEN / "routing-1", tmp_path / "current")
    assert file.read() == ROUTING
    golden = (GOLDEN / "routing-1").read_bytes()
    (tmp_path / "current").write_bytes(golden.replace(b"mainspring-routing 1 ", b"mainspring-routing 2 "))
    with pytest.raises(Damaged, match="unknown head"):
        file.read()


def test_a_deck_is_read_as_it_was_written_and_one_of_a_worker_of_before_is_refused() -> None:
    deck = unpacked((GOLDEN / "deck-2.npz").read_bytes())
    assert (deck.decision_us.tolist(), deck.unit.tolist()) == ([10], [2**64 - 1])
    assert (deck.outcome.tolist(), deck.known_us.tolist()) == ([1.0], [20])
    assert [who.output.tolist() for who in (deck.stable, *deck.challengers)] == [[0.25], [0.75], [0.5]]
    assert (deck.stable.ok.tolist(), deck.stable.latency_us.tolist()) == ([True], [40])
    assert deck.held is not None
    assert deck.held.tolist() == [True]
    with pytest.raises(Damaged, match="unknown format"):
        unpacked((GOLDEN / "deck-1.npz").read_bytes())


def test_a_policy_that_was_kept_is_read_under_the_digest_that_decisions_name() -> None:
    kept = [line.partition(" ")[::2] for line in (GOLDEN / "policies-1.txt").read_text().splitlines()]
    read = [decode_policy(body) for _, body in kept]
    assert [type(one) for one in read] == [
        Immediate, BlueGreen, Shadow, Canary, ABTest, Bandit, ChampionChallenger,
    ]  # fmt: skip
    assert [digest(body.encode()) for _, body in kept] == [name for name, _ in kept]
    assert (read[1].keep, read[2].slices, read[3].metrics[0].high) == ("2d", ("dest",), 40.0)
    assert (read[4].precision, read[5].half_life, read[6].on_deadline) == (0.1, "7d", "hold")


@pytest.mark.parametrize("name", ["evidence-1.json", "evidence-2.json"])
def test_what_a_release_is_held_to_and_has_counted_is_read_as_it_was_written(name: str) -> None:
    """The first is of before metrics could do without bounds; what it does not say is said of those alone."""
    found = msgspec.json.decode((GOLDEN / name).read_bytes(), type=Held)
    stream, unbounded = found.books.streams["quality"], name == "evidence-2.json"
    assert (found.gate.bound, found.measured.asymptotic) == ((None, True) if unbounded else (1.0, False))
    assert (stream.n, stream.arms, stream.largest) == (4, (2, 1.0, 2, 0.5), 0.125 if unbounded else 0.0)
    assert found.measured.low == (None if unbounded else -1.0)
    if unbounded:
        assert msgspec.json.decode(msgspec.json.encode(found.gate)) == msgspec.json.decode(
            (GOLDEN / name).read_bytes(), type=dict[str, object]
        )["gate"]  # fmt: skip
        again = stream.measured(found.gate)
        assert again is not None
        assert again.withheld == found.measured.withheld


def test_units_of_a_release_are_read_as_they_were_written() -> None:
    assert units_from((GOLDEN / "units-1").read_bytes()).equals(UNITS)
    with pytest.raises(Damaged, match="unknown format"):
        units_from(b"\x02" + (GOLDEN / "units-1").read_bytes()[1:])


@pytest.mark.parametrize("table", PARTS)
def test_a_part_is_read_as_it_was_written_with_columns_of_later_on_empty(tmp_path: Path, table: str) -> None:
    data = (GOLDEN / f"{table}-1.parquet").read_bytes()
    (tmp_path / table).mkdir()
    (tmp_path / table / "part_1.parquet").write_bytes(data)
    part = PartRef("part_1", table, digest(data), 1, len(data))
    (row,) = ParquetTables(tmp_path, LocalDisk()).scan([part], list(SCHEMAS[table])).collect().rows(named=True)
    assert {name: row[name] for name in PARTS[table]} == PARTS[table]


def test_what_was_sealed_opens() -> None:
    cipher = AesGcm()
    key = cipher.open(SECRET, (GOLDEN / "sealed-key-1").read_bytes(), b"key")
    assert key == bytes(range(32, 64))
    assert cipher.open(key, (GOLDEN / "sealed-1").read_bytes(), b"field") == b'"Elm street"'


def test_heads_and_the_clock_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert HeadsFile(str(GOLDEN / "heads-1.txt")).read() == [Head(3, "ab" * 32), Head(12, "cd" * 32)]
    shutil.copy(GOLDEN / "clock-1", tmp_path / "clock")
    assert SimulatedClock(tmp_path / "clock").now_us() == 1_700_000_000_000_000
