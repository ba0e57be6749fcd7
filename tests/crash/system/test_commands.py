"""Control killed in the middle of a command: the change is whole or not there, and asking again ends well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mainspring.edges.cli.asking import Told
from mainspring.kernel.errors import Unavailable


@pytest.mark.parametrize(
    ("point", "after_crash"),
    [("release.before_commit", 1), ("store.after_commit", 2)],
    ids=["before it is stored", "after it was stored"],
)
def test_a_release_killed_on_its_way_is_whole_or_not_there(
    site: Any, check: Callable[..., None], point: str, after_crash: int
) -> None:
    site.client(pause_s=0.02)

    def release() -> None:
        site.verb("release start", model="late", version="2", reason="more weight")

    def in_vain() -> None:
        with pytest.raises(Unavailable, match="control does not answer"):
            release()

    site.crash_control_at(point, in_vain)
    assert site.verb("champion", model="late")["number"] == after_crash
    if after_crash == 1:
        release()
    else:
        with pytest.raises(Told, match="is the champion already"):
            release()
    site.wait(lambda: site.told.version == 2)
    site.stop()
    assert not site.told.refused
    check(site.home, site.told)
