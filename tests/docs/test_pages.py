"""What the README and the manual show is run: ``console`` blocks as one shell session a page, ``python`` in order.

A line that begins with ``$`` is a command. What stands below it must be what it prints; ``…`` stands for anything, and
where nothing stands below, only its success is asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
MARK = "@@@ command"
PLAYED = "mainspring demo"  # a page that begins with it is run on the home of a demo that a story plays, in its test


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text()) if kind == language]


def commands(page: Path) -> list[tuple[str, str]]:
    """Return each command with what it should print."""
    found: list[tuple[str, str]] = []
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("    ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", "")
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def matches(expected: str, got: str) -> bool:
    """Return whether what was printed is as shown, whatever the spaces and whatever stands for an ellipsis."""
    parts = [r"\s+".join(re.escape(word) for word in part.split()) for part in expected.split("…")]
    return not expected.strip() or re.fullmatch(r"\s*" + r".*?\s*".join(parts) + r"\s*", got, re.DOTALL) is not None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def check_session(page: Path, folder: Path, left_out: int = 0) -> None:
    """Run a page's commands, but for the first ones if asked, and compare what they print with what is shown."""
    session = commands(page)[left_out:]
    printed = run_session([*session, ("kill %1 2>/dev/null && wait || true", "")], folder)
    for (command, expected), got in zip(session, printed, strict=False):
        if not matches(expected, got):
            pytest.fail(f"{page.name}: {command}\nexpected:\n{expected}\ngot:\n{got}")


def run_session(session: list[tuple[str, str]], folder: Path) -> list[str]:
    ports = {"8080": str(free_port()), "8081": str(free_port())}
    lines = [f"echo; echo '{MARK}'\n{command}" for command, _ in session]
    script = "set -e\n" + "\n".join(lines)
    script = script.replace("localhost:8080", f"localhost:{ports['8080']}")
    script = script.replace("mainspring up", f"mainspring up --port {ports['8080']} --control-port {ports['8081']}")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        # What the session leaves running holds the pipe open, so it is read up to a last line of our own.
        try:
            output, _ = process.communicate(timeout=240)
        finally:
            _end(process.pid)
    assert process.returncode == 0, output
    return [part.strip("\n") for part in output.split(f"{MARK}\n")[1:]]


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


SESSIONS = [page for page in PAGES if blocks(page, "console") and not commands(page)[0][0].startswith(PLAYED)]


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_a_session_on_a_page_runs_as_shown(page, tmp_path):
    if shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed")
    check_session(page, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_on_a_page_runs(page):
    names: dict[str, object] = {}
    for body in blocks(page, "python"):
        exec(compile(body, str(page), "exec"), names)


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_of_the_manual_is_reached_from_its_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    assert sorted(set((ROOT / "docs").rglob("*.md")) - linked - {index}) == []


def test_decisions_have_a_number_each_the_one_in_their_heading():
    names = [page.name for page in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    headings = [(ROOT / "docs" / "decisions" / name).read_text().split(".", 1)[0] for name in names]
    assert headings == [f"# {int(name[:4])}" for name in names]
    assert len(set(headings)) == len(headings)


def test_every_decision_has_its_four_parts():
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        text = page.read_text()
        assert all(f"**{part}.**" in text for part in ("Problem", "Choice", "Rejected", "Consequence")), page.name
