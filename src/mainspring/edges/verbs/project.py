"""Verbs of projects: what was declared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_project
from mainspring.edges.verbs.verb import Nothing, Verb, machine_path
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Apply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to apply."""

    path: Annotated[str, machine_path("folder of the project, or its declaring file")] = "."
    name: Annotated[str | None, Meta(description="the project's name; the folder's if not said")] = None
    dry_run: Annotated[bool, Meta(description="validate and show the difference; change nothing")] = False


class OneProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project."""

    project: Annotated[str, Meta(description="a project's name; may be left out when there is one")] = ""


def apply(platform: Platform, asked: Apply, by: str) -> Any:
    return platform.projects.apply(Path(asked.path).resolve(), by=by, dry_run=asked.dry_run, name=asked.name)


def revisions(platform: Platform, asked: OneProject, by: str) -> Any:
    _, name = find_project(platform, asked.project)
    return platform.projects.revisions(name)


def models(platform: Platform, asked: Nothing, by: str) -> Any:
    return [_model_line(platform, model) for model in platform.registry.models()]


def _model_line(platform: Platform, model: Any) -> dict[str, Any]:
    champion = platform.registry.alias(model.id, CHAMPION)
    return {
        "project": model.project_name,
        "model": model.name,
        "task": model.spec.task if model.spec else None,
        "champion": champion.number if champion else None,
        "versions": platform.registry.count_versions(model.id),
        "releases": len(platform.releases.running(model.id)),
        "id": model.id,
    }


VERBS = (
    Verb(
        name="apply",
        group="Project",
        summary="Validate a project and store it as an immutable revision",
        arguments=Apply,
        call=apply,
        permission="owner",
        positional=("path",),
        long_running=True,
    ),
    Verb(
        name="revisions",
        group="Project",
        summary="List the revisions of a project",
        arguments=OneProject,
        call=revisions,
        positional=("project",),
    ),
    Verb(
        name="models",
        group="Project",
        summary="List the models of every project with their champions",
        call=models,
        columns=("project", "model", "task", "champion", "versions", "releases"),
    ),
)
