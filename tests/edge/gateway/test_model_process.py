from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.frames import Ask, Unframer, framed, socket_path
from mainspring.adapters.runtimes.launching import Place, start, words_file
from mainspring.adapters.runtimes.once import running
from mainspring.adapters.runtimes.process import ask_and_wait, listens
from mainspring.adapters.runtimes.scorer import Scorer
from mainspring.adapters.runtimes.watchdog import Watchdog
from mainspring.adapters.runtimes.words import WORDS
from mainspring.kernel.errors import Unavailable, WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.registry.version import Environment
from mainspring.serving.routing import Package, VersionRoute
from mainspring.testing.models import rule_version

INPUTS = (Column("distance", "float", True), Column("carrier", "str"))
SPIES = """
import os, resource
def answer(frame, params):
    assert list(frame.columns) == ["distance", "carrier"], frame.columns
    secret = "MAINSPRING_SECRET" in os.environ
    threads = int(os.environ["OMP_NUM_THREADS"])
    bounded = resource.getrlimit(resource.RLIMIT_DATA)[0] > 0
    return [0.25 if not secret and threads == 1 and bounded else 1.0 for _ in range(len(frame))]
"""


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs", LocalDisk())


def test_user_code_sees_no_secret_and_one_thread(
    blobs: FileBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSPRING_SECRET", "hush")
    version = rule_version(blobs, "ver_1", 1, SPIES, INPUTS, frame="pandas")
    with running(version, tmp_path / "blobs") as run:
        assert run([(1.0, "UA"), (None, "DL")]) == [0.25, 0.25]


def test_an_estimator_answers_as_it_does_where_it_was_fitted(blobs: FileBlobs, tmp_path: Path) -> None:
    import pandas
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    frame = pandas.DataFrame({"distance": [1.0, 2.0, None, 4.0] * 20, "carrier": ["UA", "DL", "UA", "B6"] * 20})
    encoder = ColumnTransformer([("text", OrdinalEncoder(), ["carrier"])], remainder="passthrough")
    estimator = make_pipeline(encoder, HistGradientBoostingClassifier(max_iter=5)).fit(frame, [0, 1, 1, 0] * 20)
    package = Package({"model.pkl": blobs.put(cloudpickle.dumps(estimator))}, "python")
    version = VersionRoute("ver_1", 1, package, Signature("binary", INPUTS))
    rows = [(1.0, "UA"), (None, "DL"), (4.0, "B6")]
    expected = estimator.predict_proba(pandas.DataFrame(rows, columns=["distance", "carrier"]))[:, 1].tolist()
    with running(version, tmp_path / "blobs") as run:
        assert run(rows) == expected


class Network:
    """A PyTorch network as an estimator: a DataFrame in, one number a row out."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def predict(self, frame: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self.network(torch.tensor(frame[["distance"]].to_numpy(), dtype=torch.float32)).numpy()[:, 0]


def test_a_network_of_pytorch_answers_as_it_does_here(blobs: FileBlobs, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="not a requirement; to run this: pip install torch")
    network = torch.nn.Linear(1, 1)
    cloudpickle.register_pickle_by_value(sys.modules[Network.__module__])
    package = Package({"model.pkl": blobs.put(cloudpickle.dumps(Network(network)))}, "python")
    version = VersionRoute("ver_1", 1, package, Signature("regression", INPUTS))
    expected = [network(torch.tensor([[x]])).item() for x in (1.0, 4.0)]
    with running(version, tmp_path / "blobs") as run:
        assert run([(1.0, "UA"), (4.0, "DL")]) == pytest.approx(expected)


def test_a_version_of_another_environment_is_refused_before_it_is_loaded(blobs: FileBlobs, tmp_path: Path) -> None:
    package = Package({"model.pkl": blobs.put(b"never unpickled")}, "python")
    made_in = Environment("3.11.1", "linux-x86_64", {"numpy": "0.1"})
    version = VersionRoute("ver_1", 1, package, Signature("binary", INPUTS), environment=made_in)
    with (
        pytest.raises(Unavailable, match=r"made in another environment: numpy 0\.1 was used"),
        running(version, tmp_path / "blobs"),
    ):
        pass


def test_a_model_that_raises_is_named_with_its_row(blobs: FileBlobs, tmp_path: Path) -> None:
    code = "def answer(frame, params):\n    return [1 / x for x in frame['distance']]\n"
    version = rule_version(blobs, "ver_1", 1, code, INPUTS)
    with (
        running(version, tmp_path / "blobs") as run,
        pytest.raises(WorkerFailed, match="could not answer row 1: failed: ZeroDivisionError"),
    ):
        run([(1.0, "UA"), (0.0, "UA")])


class Numbers:
    """Answers a row's first value; raises for 'raise', sleeps for 'sleep'."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, rows: Any) -> list[float]:
        self.calls.append(len(rows))
        if any(row[1] == "raise" for row in rows):
            raise ValueError("no")
        time.sleep(0.05 * sum(row[1] == "sleep" for row in rows))
        return [row[0] for row in rows]


def scorer(numbers: Numbers) -> Scorer:
    return Scorer(numbers, Watchdog(60.0, parent=0), 20_000, "binary")


def test_a_good_batch_is_run_once() -> None:
    numbers = Numbers()
    found = scorer(numbers).score([(0.1, ""), (0.2, "")])
    assert (found.values, found.faults, numbers.calls) == ([0.1, 0.2], {}, [2])


def test_in_a_bad_batch_only_the_rows_at_fault_are_blamed_and_slow() -> None:
    rows = [(0.1, ""), (0.2, "raise"), (0.3, "sleep"), (1.5, ""), (float("nan"), "")]
    found = scorer(Numbers()).score(rows)
    assert found.values == [0.1, None, None, None, None]
    assert found.faults == {1: "failed: ValueError: no", 2: "late", 3: "invalid", 4: "invalid"}
    assert [latency_us > 40_000 for latency_us in found.latencies_us] == [False, False, True, False, False]


def test_rows_of_a_slow_batch_that_have_not_begun_in_time_are_late() -> None:
    found = scorer(Numbers()).score([(0.1, "sleep"), (0.2, "sleep"), (0.3, "")], until_s=time.monotonic() + 0.12)
    assert (found.values[2], found.faults[2], found.latencies_us[2]) == (None, "late", 0)


def test_a_process_whose_model_does_not_come_back_ends_itself(blobs: FileBlobs, tmp_path: Path) -> None:
    version = rule_version(blobs, "ver_1", 1, "import time\ndef answer(frame, params):\n    time.sleep(60)\n", INPUTS)
    run = tmp_path / "run"
    socket = socket_path(run, "ver_1")
    process = start(version, Place(run, tmp_path / "blobs"), stuck_s=0.5)
    until = time.monotonic() + 20
    while not listens(socket):
        assert time.monotonic() < until
        time.sleep(0.02)
    with pytest.raises(Unavailable, match="its process went away"):
        ask_and_wait(socket, [(1.0, "UA")], 20)
    assert process.wait(5) == 70
    WORDS.wait_for(words_file(run, "ver_1"), most_s=20)
    assert "did not come back within 0.5 s" in words_file(run, "ver_1").read_text()


@pytest.fixture
def orphan(blobs: FileBlobs, tmp_path: Path) -> tuple[int, Path]:
    """Return the id of a model process whose supervisor was killed."""
    version = rule_version(blobs, "ver_1", 1, SPIES, INPUTS)
    run = tmp_path / "run"
    code = (
        "import sys, msgspec, pathlib, time\n"
        "from mainspring.adapters.runtimes.launching import Place, start\n"
        "from mainspring.serving.routing import VersionRoute\n"
        f"version = msgspec.json.decode({msgspec.json.encode(version)!r}, type=VersionRoute)\n"
        f"run, blobs = pathlib.Path({str(run)!r}), pathlib.Path({str(tmp_path / 'blobs')!r})\n"
        "print(start(version, Place(run, blobs)).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    until = time.monotonic() + 20
    while not listens(socket_path(run, "ver_1")):
        assert time.monotonic() < until
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return pid, run


def test_a_model_process_ends_with_its_supervisor(orphan: tuple[int, Path]) -> None:
    pid, _ = orphan
    until = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_frames_are_cut_where_they_end_however_they_arrive() -> None:
    stream = framed(Ask(1, ((1.0, "a"),), 5)) + framed(Ask(2, ((2.0, "b"),), 6))
    unframer = Unframer()
    found = [message for byte in stream for message in unframer.feed(bytes([byte]))]
    assert [msgspec.msgpack.decode(message, type=Ask).number for message in found] == [1, 2]
    assert Unframer().feed(stream) == found


def test_a_socket_whose_name_is_too_long_lies_in_a_private_folder(tmp_path: Path) -> None:
    path = socket_path(tmp_path / ("x" * 100), "ver_1")
    assert len(str(path)) < 100
    assert path.parent.stat().st_mode & 0o777 == 0o700
