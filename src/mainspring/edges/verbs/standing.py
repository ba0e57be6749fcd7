"""How the processes of a home stand: which hang, which end again and again, and what to do."""

from __future__ import annotations

from pathlib import Path

from mainspring.adapters.pulse import SILENT_S, Felt, feel_all, turning
from mainspring.adapters.upfile import ProcessState, UpFile, read_up

_LOOP_S = 120.0  # a turn of the loop may take long: it reads, trains and judges
_MANY = 3  # ends in a row
LOOP = "loop"


def troubles(run: Path) -> list[str]:
    """Return a sentence for each process that hangs, ends again and again, or cannot work by its settings."""
    up = read_up(run)
    hanging = [_hangs(felt, up) for felt in feel_all(run) if felt.silent_s > _longest_s(felt.name)]
    ending = [said for one in (up.processes if up else ()) if (said := _ends(one))]
    return [*hanging, *ending]


def said_of(run: Path) -> str:
    """Return in a line how the processes stand that ``mainspring up`` keeps running."""
    up = read_up(run)
    if up is None:
        return "mainspring up does not run here: nothing that ends is started again"
    names = ", ".join(one.name for one in up.processes if one.state == "runs")
    again = [f"{one.name} was started again {_times(one.restarts)}, last because {one.why}"
             for one in up.processes if one.restarts]  # fmt: skip
    return "; ".join([f"{names or 'none'} run", *again])


def why_silent(run: Path, name: str) -> str | None:
    """Return what is known of a process that does not answer, if it hangs."""
    up = read_up(run)
    return next((_hangs(felt, up) for felt in feel_all(run) if felt.name == name and felt.silent_s > SILENT_S), None)


def _longest_s(name: str) -> float:
    return _LOOP_S if name == LOOP else SILENT_S


def _hangs(felt: Felt, up: UpFile | None) -> str:
    found = turning(felt.pid, felt.thread)
    stopped = found is not None and found.is_stopped
    how = "it is stopped" if stopped else "it is at work" if found and found.is_at_work(found) else "it waits"
    who = "the loop of control" if felt.name == LOOP else felt.name
    said = f"{who} has not turned for {felt.silent_s:.0f} s ({how}, process {felt.pid})"
    if felt.name == LOOP:
        return f"{said}: see run/control.log; kill -9 {felt.pid} has control start anew"
    if up is None:
        return f"{said}: end it with kill -9 {felt.pid}, and start it again"
    after = f"after {up.replaced_after_s:g} s of standing still"
    return f"{said}: mainspring up starts it anew {after}, or kill -9 {felt.pid}"


def _ends(one: ProcessState) -> str | None:
    if one.state == "refuses":
        when = "it starts once settings.toml is mended, and is tried every minute"
        return f"{one.name} cannot work by its settings: {one.why}; {when}"
    if one.failures >= _MANY:
        return f"{one.name} ended {_times(one.failures)} in a row: {one.why}"
    return None


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
