"""How fast the command line starts, against an interpreter that does nothing: ``python bench/cli.py``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from mainspring.adapters.home import create_home
from mainspring.edges.api.server import ControlServer
from mainspring.platform import open_platform

RUNS = 20
COMMAND = str(Path(sys.executable).with_name("mainspring"))


def median_s(words: list[str]) -> float:
    """Return the median time of a process."""
    spent = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def main() -> None:
    """Print each time and its ratio to a bare interpreter's."""
    bare = median_s([sys.executable, "-c", "pass"])
    print(f"python -c pass             {1000 * bare:6.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        home = create_home(Path(folder) / "home")
        with closing(open_platform(home)) as platform, ControlServer(platform):
            for words in (["--version"], ["--help"], ["status", "--json", "--home", str(home.root)]):
                spent = median_s([COMMAND, *words])
                print(f"mainspring {words[0]:<15} {1000 * spent:6.0f} ms  {spent / bare:5.1f} ×")


if __name__ == "__main__":
    main()
