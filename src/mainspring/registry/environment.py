"""What a version needs around it, and whether this interpreter offers it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distributions, version

from mainspring.registry.version import Environment

ALWAYS_THERE = frozenset({"mainspring"})


def capture(modules: Iterable[str] | None = None) -> Environment:
    """Return this interpreter with the distributions that ``modules`` (by default all imported ones) come from."""
    tops = {name.partition(".")[0] for name in (sys.modules if modules is None else modules)}
    owners = set(_owners(tops - sys.stdlib_module_names)) - ALWAYS_THERE
    return Environment(
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        packages={name: version(name) for name in sorted(owners)},
    )


def mismatches(wanted: Environment, packages: Mapping[str, str] | None = None, python: str | None = None) -> list[str]:
    """Return what differs between ``wanted`` and here, one phrase each; the interpreter's patch level may differ."""
    here = python or platform.python_version()
    faults = []
    if wanted.python.split(".")[:2] != here.split(".")[:2]:
        faults.append(f"Python {wanted.python} was used, {here} is here")
    for name, needed in sorted(wanted.packages.items()):
        found = _installed(name) if packages is None else packages.get(name)
        if found is None:
            faults.append(f"{name} {needed} is not installed")
        elif found != needed:
            faults.append(f"{name} {needed} was used, {found} is installed")
    return faults


def _owners(modules: Iterable[str]) -> Iterator[str]:
    """Yield the distributions that brought a module of these names, by the list of files that each was installed with.

    ``importlib.metadata.packages_distributions`` parses every line of every list, which takes a second in a large
    environment.
    """
    starts = [start for name in modules for start in (f"\n{name}/", f"\n{name}.")]
    for distribution in distributions():
        files = distribution.read_text("RECORD") or distribution.read_text("installed-files.txt") or ""
        if any(start in f"\n{files}" for start in starts):
            yield distribution.name


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
