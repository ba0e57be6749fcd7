"""Opens a home in this process, under its lock, when no control runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.adapters.home import Home, HomeLock, create_home
from mainspring.edges.verbs.verb import Verb

if TYPE_CHECKING:
    from mainspring.loop.erased import Erased
    from mainspring.platform import Platform


@contextmanager
def opened(folder: Path, verb: Verb, asked: Any) -> Iterator[Platform]:
    """Open the platform for one verb. ``apply`` makes the home if there is none; every other verb needs one."""
    home = _made(folder, Path(asked.path)) if verb.name == "apply" else Home(folder)
    from mainspring.loop.erasing import AGAIN
    from mainspring.platform import open_platform

    purpose = f"mainspring {verb.name}"
    with HomeLock(folder, purpose), closing(open_platform(home, purpose=purpose)) as platform:
        if (home.erasing / AGAIN).exists():  # of a restore that was killed: nobody is shown who was erased
            platform.loop.erase_again()
        yield platform


def _made(folder: Path, project: Path) -> Home:
    """Return the home, made if there is a project to apply to it: else nothing is left behind."""
    from mainspring.project.service import located

    located(project)
    return create_home(folder)


def erased_again(folder: Path) -> list[Erased] | None:
    """Erase whom a restore has left to be erased again; None where there is no list of them."""
    from mainspring.loop.erasing import AGAIN
    from mainspring.platform import open_platform

    home, purpose = Home(folder), "mainspring restore"
    if not (home.erasing / AGAIN).exists():
        return None
    with HomeLock(folder, purpose), closing(open_platform(home, purpose=purpose)) as platform:
        return platform.loop.erase_again()
