"""The command line. Nothing heavy is imported before it is known what was asked."""

from __future__ import annotations

import sys

from mainspring import __version__


def main() -> None:
    """Run the ``mainspring`` command."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"mainspring {__version__}\n")
        return
    from mainspring.edges.cli.commands import run

    sys.exit(run(sys.argv[1:]))
