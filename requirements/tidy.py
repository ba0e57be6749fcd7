"""Take the project itself and every address out of compiled requirements."""

from __future__ import annotations

import re
import sys
from pathlib import Path

OWN = re.compile(r"(?m)^# WARNING:[^\n]*\n(?:#[^\n]*\n)*mainspring @ [^\n]*\n(?:    #[^\n]*\n)*|^mainspring @ [^\n]*\n(?:    #[^\n]*\n)*")
ADDRESS = re.compile(r"\w+://|--(index-url|extra-index-url|find-links|trusted-host)")


def tidy(text: str) -> str:
    """Return requirements without the project's own line.

    >>> tidy("a==1\\nmainspring @ file:///here\\n    # via x\\nb==2\\n")
    'a==1\\nb==2\\n'
    """
    tidied = OWN.sub("", text)
    found = ADDRESS.search(tidied)
    if found:
        raise SystemExit(f"an address is left in the requirements: {found[0]}")
    return tidied


for name in sys.argv[1:]:
    path = Path(name)
    path.write_text(tidy(path.read_text()))
