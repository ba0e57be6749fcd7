"""Verbs of data: sources and their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_project, find_source_of
from mainspring.edges.verbs.project import OneProject
from mainspring.edges.verbs.verb import Verb
from mainspring.kernel.errors import MainspringError

if TYPE_CHECKING:
    from mainspring.platform import Platform


class SourceRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of a source."""

    source: Annotated[str, Meta(description="a source's name")]
    project: Annotated[str, Meta(description="a project's name; may be left out where one alone has that source")] = ""
    limit: Annotated[int, Meta(description="how many, newest first", ge=1, le=1_000)] = 20


class OneSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source."""

    source: Annotated[str, Meta(description="a source's name")]
    project: Annotated[str, Meta(description="a project's name; may be left out where one alone has that source")] = ""


def sources(platform: Platform, asked: OneProject, by: str) -> Any:
    project, _ = find_project(platform, asked.project)
    return [
        {
            "source": spec.name,
            "reader": type(spec.reader).__struct_config__.tag,
            "time": spec.time,
            "known_at": spec.known_at or f"{spec.time} + {(spec.known_after_us or 0) / 60e6:g} min",
            "key": ", ".join(spec.key),
            "columns": len(spec.columns),
            "rows": platform.log.source(id).height,
            "id": id,
        }
        for id, spec in platform.features.sources(project)
    ]


def ingest(platform: Platform, asked: OneProject, by: str) -> Any:
    project, name = find_project(platform, asked.project)
    faults: list[MainspringError] = []
    read = platform.features.ingest(project, platform.clock.now_us(), on_fault=faults.append)
    platform.features.feed(read)
    if faults:
        raise faults[0]
    return [
        {"project": name, "source": spec.name, "rows": read[id].height if id in read else 0}
        for id, spec in platform.features.sources(project)
    ]


def source_rows(platform: Platform, asked: SourceRows, by: str) -> Any:
    id, _ = find_source_of(platform, asked.project, asked.source)
    return platform.log.source(id).tail(asked.limit).reverse()


def source_quality(platform: Platform, asked: OneSource, by: str) -> Any:
    id, spec = find_source_of(platform, asked.project, asked.source)
    frame = platform.log.source(id)
    return [
        {
            "column": column.name,
            "kind": column.kind,
            "rows": frame.height,
            "missing": frame[column.name].null_count(),
            "distinct": frame[column.name].n_unique(),
            "least": frame[column.name].min(),
            "greatest": frame[column.name].max(),
        }
        for column in spec.columns
        if column.name in frame.columns
    ]


VERBS = (
    Verb(
        name="sources",
        group="Data",
        summary="List the sources of a project",
        arguments=OneProject,
        call=sources,
        positional=("project",),
        columns=("source", "reader", "time", "known_at", "key", "columns", "rows"),
    ),
    Verb(
        name="ingest",
        group="Data",
        summary="Read what is known up to now from files and queries",
        arguments=OneProject,
        call=ingest,
        permission="operate",
        positional=("project",),
        long_running=True,
    ),
    Verb(
        name="source rows",
        group="Data",
        summary="Show the newest rows of a source",
        arguments=SourceRows,
        call=source_rows,
        positional=("source",),
    ),
    Verb(
        name="source quality",
        group="Data",
        summary="Show missing, distinct and extreme values of each column",
        arguments=OneSource,
        call=source_quality,
        positional=("source",),
    ),
)
