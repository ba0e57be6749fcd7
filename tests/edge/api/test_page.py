"""The page where there is little or nothing to show."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.web.pages import PAGES
from mainspring.platform import open_platform


def test_an_empty_home_says_what_to_do_first(tmp_path: Path) -> None:
    with closing(open_platform(create_home(tmp_path / "home"))) as platform:
        (index,) = [page for page in PAGES if page.path == "/"]
        body = index.render(platform, {}).decode()
    assert "No models yet" in body
    assert "mainspring init" in body


@pytest.mark.parametrize("path", ["/", "/models/flights/late"])
def test_a_model_without_a_champion_is_shown_as_such(ask: Any, path: str) -> None:
    status, body, _ = ask("GET", path, Authorization=None)
    assert status == 200
    assert b"no champion yet" in body
