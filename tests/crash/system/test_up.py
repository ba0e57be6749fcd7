"""`mainspring up` itself: one a home, no home of a newer version, and what it leaves when it is stopped or killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from mainspring.adapters.home import Home
from mainspring.edges.processes import free_port

Start = Callable[..., "subprocess.Popen[str]"]


def processes_of(root: Path) -> list[int]:
    """Return the processes whose command line names something in the home."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(word.startswith(str(root)) for word in words):
            found.append(int(file.parent.name))
    return found


@pytest.fixture
def up(place: Path, mainspring: Start) -> Iterator[Callable[[], tuple[subprocess.Popen[str], int]]]:
    """Return what starts `mainspring up` on the home and gives the process and the gateway's port."""
    started: list[subprocess.Popen[str]] = []

    def start(ports: tuple[int, int] = (0, 0)) -> tuple[subprocess.Popen[str], int]:
        port, control_port = (port or free_port() for port in ports)
        home = str(place / "home")
        process = mainspring("up", "--home", home, "--port", str(port), "--control-port", str(control_port))
        started.append(process)
        return process, port

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


@contextmanager
def asking(new_client: Callable[..., Any], port: int, told: Any) -> Iterator[Any]:
    client = new_client(port, f"p{port}_{told.asked}_", told)
    client.start()
    try:
        yield client
    finally:
        client.stop()


def until(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s, "waited in vain"
        time.sleep(0.02)


def test_two_ups_of_one_home_are_refused_with_a_sentence(place: Path, up: Any) -> None:
    first, _ = up()
    until((place / "home" / "run" / "control.json").exists)
    second, _ = up()
    said, complained = second.communicate(timeout=20)
    assert (second.returncode, said) == (1, "")
    assert complained == (
        f"error: home: this home is up already (got '{place / 'home'}'); stop the other one, or name another --home\n"
    )
    assert first.poll() is None


def test_no_secret_stands_in_a_command_line_a_log_or_a_file_that_others_may_read(
    place: Path, up: Any, mainspring: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, hush = place / "home", "s3cRetXY"
    given = {
        "WEBHOOK_URL": f"https://127.0.0.1:1/{hush}?token={hush}", "WEBHOOK_SECRET": hush * 2, "MLFLOW_TOKEN": hush,
        "MLFLOW": "http://127.0.0.1:1", "OTLP_ENDPOINT": f"http://ann:{hush}@127.0.0.1:1", "LOG_REQUESTS": "1",
        "WEBHOOK_HOSTS": "127.0.0.1", "WEBHOOK_ALLOW_PRIVATE": "true",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"MAINSPRING_{name}", value)
    _, port = up()
    control = home / "run" / "control.json"
    until(control.exists)
    made = mainspring("key", "create", "--name", "app", "--role", "predict", "--reason", "test", "--home", str(home))
    key = re.search(r"key_\w+\.([\w-]+)", "".join(made.communicate(timeout=60)))
    assert key is not None
    until(lambda: _status(port, key[0]) not in (0, 503))
    assert _status(port, f"key_none.{hush}") != 200
    told = json.loads(control.read_text())
    for word in ("config", "status"):
        assert hush not in "".join(mainspring(word, "--home", str(home)).communicate(timeout=60))
    lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(home))
    for secret in (hush, key[1], told["token"], told["page_token"]):
        assert secret.encode() not in lines
        holding = [file for file in home.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
        assert holding in ([], [control])
    assert control.stat().st_mode & 0o077 == 0


def _status(port: int, key: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict/late", b"{}", {"authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return 0 if key.encode() in error.read() else error.code
    except OSError:
        return 0


def test_a_home_of_a_newer_format_is_refused_with_a_sentence(place: Path, up: Any) -> None:
    file = place / "home" / "home.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    process, _ = up()
    said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    assert complained == (
        "error: home: the home was made by a newer version (format 99, this one knows 1) "
        f"(got '{place / 'home'}'); install that version or a later one\n"
    )


def test_a_home_with_tables_of_a_newer_version_is_refused_with_a_sentence_and_left_alone(
    place: Path, up: Any, open_home: Callable[..., Any]
) -> None:
    with open_home(Home(place / "home")) as platform, platform.store.bookkeeping() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    process, _ = up()
    said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    assert complained.startswith("error: ")
    assert "the home was made by a newer version (got '0099'); install that version or a later one" in complained
    assert "Traceback" not in complained
    until(lambda: not processes_of(place / "home"), 5)


def test_a_damaged_routing_file_is_published_again(place: Path, up: Any, new_client: Any, new_told: Any) -> None:
    (place / "home" / "routing" / "current").write_bytes(b"mainspring-routing 1 00\n{}")
    _, port = up()
    with asking(new_client, port, told := new_told()):
        until(lambda: len(told.answers) > 3)


def test_up_told_to_stop_keeps_everything_that_was_answered(
    place: Path, up: Any, new_client: Any, new_told: Any, check: Callable[..., None]
) -> None:
    (place / "home" / "settings.toml").write_text('acknowledgement = "batched"\n')
    process, port = up()
    told = new_told()
    with asking(new_client, port, told):
        until(lambda: len(told.answers) > 200)
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=20)
    assert process.returncode == 0, complained
    assert re.search(r"^gateway +http", said, re.MULTILINE)
    assert said.endswith("stopping\n")
    assert processes_of(place / "home") == []
    assert not list((place / "home" / "spool").glob("*/*.seg"))  # control has taken all of it in
    check(Home(place / "home"), told)


def test_up_killed_leaves_no_process_behind_and_starts_again_at_once(
    place: Path, up: Any, new_client: Any, new_told: Any, check: Callable[..., None]
) -> None:
    (place / "home" / "settings.toml").write_text('acknowledgement = "durable"\n')
    ports = free_port(), free_port()
    killed, port = up(ports)
    told = new_told()
    with asking(new_client, port, told):
        until(lambda: len(told.answers) > 50)
        before = processes_of(place / "home")
        killed.kill()
        killed.communicate(timeout=20)
        again, _ = up(ports)
        goal = len(told.answers) + 50
        until(lambda: len(told.answers) > goal)
    assert not set(before) & set(processes_of(place / "home"))
    again.terminate()
    assert again.communicate(timeout=20)[1] == ""
    assert again.returncode == 0
    check(Home(place / "home"), told)
