"""A Kafka-protocol broker for tests: the one in the package ``noida-db``, on a free port of this machine."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

STARTS_S = 30.0


def binary() -> Path | None:
    """Return the broker's program, or None where the package is not installed."""
    found = find_spec("noida_db")
    return None if found is None or found.origin is None else Path(found.origin).with_name("noida-db")


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Run a broker that keeps its data in a folder, and give its address; it ends with the block."""
    program = binary()
    if program is None:
        raise ModuleNotFoundError("noida_db")
    program.chmod(0o755)
    port = _free_port()
    command = [str(program), "start", "--data-dir", str(folder), "--only", "kafka", "--kafka-port", str(port)]
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + STARTS_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise RuntimeError(f"the broker ended with {process.returncode}")
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the broker did not start")
