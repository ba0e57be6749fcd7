from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.jobs.local import LocalJobs
from mainspring.kernel.errors import MainspringError, NotFound, WorkerFailed
from mainspring.training.ports import Job


def test_an_unknown_kind_of_job_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        NotFound, match="kind of job: there is no such kind of job \\(got 'trian'\\); did you mean 'train'"
    ):
        LocalJobs(tmp_path / "staging").run(Job("trian", {}))


def test_what_a_job_raises_by_accident_comes_back_as_one_sentence_and_leaves_no_folder(tmp_path: Path) -> None:
    staging = tmp_path / "staging"

    with pytest.raises(WorkerFailed, match="train: ValidationError: Object missing required field `project`"):
        LocalJobs(staging).run(Job("train", {}))

    assert list(staging.iterdir()) == []


@pytest.mark.parametrize(
    "raised", ["BaseException('gone')", "SystemExit('gone')", "KeyboardInterrupt('gone')", "GeneratorExit('gone')"]
)
def test_whatever_a_project_raises_is_a_fault_of_its_line_and_shows_nothing_of_ours(
    tmp_path: Path, raised: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "project.py").write_text(f"import mainspring as ms\n\nraise {raised}\n")

    manifest = LocalJobs(tmp_path / "staging").run(Job("apply", _apply(project))).manifest

    assert [(fault["field"], fault["what"]) for fault in manifest["faults"]] == [
        ("project.py:3", f"{raised.partition('(')[0]}: gone")
    ]


def test_a_job_that_does_not_end_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    pids = tmp_path / "pids"
    (project / "project.py").write_text(
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)\n"
    )
    started = time.monotonic()

    with pytest.raises(WorkerFailed, match="apply: did not end within 4 s and was stopped"):
        LocalJobs(tmp_path / "staging").run(Job("apply", _apply(project), timeout_s=4))

    assert time.monotonic() - started < 20
    for pid in pids.read_text().split():
        assert not _lives(int(pid))


def test_a_job_can_be_cancelled_from_another_thread(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    begun = tmp_path / "begun"
    (project / "project.py").write_text(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(60)\n")
    jobs = LocalJobs(tmp_path / "staging")
    raised: list[MainspringError] = []

    def run() -> None:
        try:
            jobs.run(Job("apply", _apply(project), id="mine"))
        except MainspringError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not begun.exists():
        time.sleep(0.02)
    assert jobs.cancel("mine")
    thread.join(10)

    assert [str(error) for error in raised] == ["apply: was cancelled"]
    assert not jobs.cancel("mine")


def test_a_worker_that_is_killed_is_told_from_one_that_failed(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "project.py").write_text(
        "import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)\n"
    )

    with pytest.raises(WorkerFailed, match="was ended by SIGKILL; its last words:\nlast words"):
        LocalJobs(tmp_path / "staging").run(Job("apply", _apply(project)))


def test_a_worker_sees_no_secrets_of_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    project = tmp_path / "project"
    project.mkdir()
    (project / "project.py").write_text("import os\nraise ValueError(','.join(sorted(os.environ)))\n")

    result = LocalJobs(tmp_path / "staging").run(Job("apply", _apply(project)))

    assert "DATABASE_PASSWORD" not in str(result.manifest)
    assert "OMP_NUM_THREADS" in str(result.manifest)


def test_what_an_earlier_process_left_behind_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "staging" / "job_old"
    left.mkdir(parents=True)
    (left / "model.pkl").write_bytes(b"half")

    with pytest.raises(NotFound):
        LocalJobs(tmp_path / "staging").run(Job("nothing", {}))

    assert not left.exists()


def _apply(project: Path) -> dict[str, Any]:
    return {"root": str(project), "file": "project.py", "project": "mine"}


def _lives(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        time.sleep(0.05)
    return True
