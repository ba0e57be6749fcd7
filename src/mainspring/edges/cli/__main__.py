"""``python -m mainspring.edges.cli`` is ``mainspring``."""

from mainspring.edges.cli import main

main()
