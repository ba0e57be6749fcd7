from types import SimpleNamespace
from typing import Any

import pytest

from mainspring.edges.verbs.naming import find_source_of
from mainspring.kernel.errors import InvalidInput, NotFound


class Platform:
    """Two projects: both have ``flights``, one alone has ``weather``."""

    def __init__(self) -> None:
        self._sources = {"prj_1": {"src_1": "flights", "src_2": "weather"}, "prj_2": {"src_3": "flights"}}
        self.registry = self.features = self

    def projects(self) -> list[Any]:
        return [SimpleNamespace(id="prj_1", name="air"), SimpleNamespace(id="prj_2", name="sea")]

    def project(self, name: str) -> str:
        return {"air": "prj_1", "sea": "prj_2"}[name]

    def sources(self, project: str) -> list[tuple[str, Any]]:
        return [(id, SimpleNamespace(name=name)) for id, name in self._sources[project].items()]


def test_a_source_that_one_project_alone_has_needs_no_project() -> None:
    assert find_source_of(Platform(), "", "weather")[0] == "src_2"  # type: ignore[arg-type]
    assert find_source_of(Platform(), "", "src_3")[0] == "src_3"  # type: ignore[arg-type]
    assert find_source_of(Platform(), "sea", "flights")[0] == "src_3"  # type: ignore[arg-type]


def test_a_source_that_several_projects_have_is_asked_for_with_their_names() -> None:
    with pytest.raises(InvalidInput, match=r"is a source of several projects .*--project: air or sea"):
        find_source_of(Platform(), "", "flights")  # type: ignore[arg-type]


def test_a_source_that_nobody_has_is_not_found() -> None:
    with pytest.raises((InvalidInput, NotFound)):
        find_source_of(Platform(), "", "wether")  # type: ignore[arg-type]
