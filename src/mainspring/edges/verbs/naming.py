"""From what people call things to what they are: ``late``, ``flights/late``, ``3``, ``champion``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainspring.kernel.errors import InvalidInput, NotFound, nearest, unknown

if TYPE_CHECKING:
    from mainspring.platform import Platform


def find_model(platform: Platform, text: str) -> Any:
    """Return the model called ``text``: its name, ``project/name`` or its id."""
    project, _, name = text.rpartition("/")
    models = platform.registry.models()
    found = [
        model for model in models if text == model.id or (name == model.name and project in ("", model.project_name))
    ]
    if len(found) == 1:
        return found[0]
    full = [f"{model.project_name}/{model.name}" for model in found]
    if found:
        raise InvalidInput("is in several projects", field="model", value=text, remedy=f"write {' or '.join(full)}")
    raise unknown("model", text, {model.name for model in models} | {f"{m.project_name}/{m.name}" for m in models})


def find_version(platform: Platform, model: Any, text: str) -> Any:
    """Return a version by number (``3`` or ``v3``), alias (``champion``), id or the start of its digest."""
    number = text.removeprefix("v")
    if number.isdecimal() and (numbered := _numbered(platform, model, int(number))) is not None:
        return numbered
    versions = platform.registry.versions(model.id)
    found = [v for v in versions if v.id == text or (len(text) >= 8 and v.digest.startswith(text))]
    if found:
        return found[0]
    pointed = None if number.isdecimal() else platform.registry.alias(model.id, text)
    if pointed is not None:
        return pointed
    raise NotFound(
        f"{model.name} has no such version",
        field="version",
        value=text,
        remedy=_versions_hint(model.name, [version.number for version in versions]),
    )


def _numbered(platform: Platform, model: Any, number: int) -> Any:
    try:
        return platform.registry.by_number(model.id, number)
    except NotFound:
        return None


def _versions_hint(name: str, numbers: list[int]) -> str:
    if not numbers:
        return f"it has none yet; make one with: mainspring train {name}"
    return f"it has {', '.join(map(str, sorted(numbers)))}"


def find_project(platform: Platform, text: str) -> tuple[str, str]:
    """Return ``(id, name)`` of a project; ``text`` may be empty when there is only one."""
    known = {project.name: project.id for project in platform.registry.projects()}
    if not text and len(known) == 1:
        name, id = next(iter(known.items()))
        return id, name
    if not known:
        remedy = "make one: mainspring init FOLDER, then mainspring apply FOLDER"
        raise NotFound("there is none in this home yet", field="project", remedy=remedy)
    if not text:
        raise InvalidInput("must be said, since there are several", field="project", remedy=nearest("", known))
    return platform.registry.project(text), text


def find_source(platform: Platform, project: str, text: str) -> tuple[str, Any]:
    """Return ``(id, spec)`` of a project's source by name."""
    sources = platform.features.sources(project)
    for id, spec in sources:
        if text in (id, spec.name):
            return id, spec
    raise unknown("source", text, (spec.name for _, spec in sources))


def find_source_of(platform: Platform, project: str, text: str) -> tuple[str, Any]:
    """Return ``(id, spec)`` of a source; ``project`` may be empty where one project alone has a source of that name."""
    if not project:
        having = [
            one.name
            for one in platform.registry.projects()
            if any(text in (id, spec.name) for id, spec in platform.features.sources(one.id))
        ]
        project = having[0] if len(having) == 1 else ""
        if len(having) > 1:
            remedy = f"say --project: {' or '.join(having)}"
            raise InvalidInput("is a source of several projects", field="source", value=text, remedy=remedy)
    id, _ = find_project(platform, project)
    return find_source(platform, id, text)


def find_release(platform: Platform, text: str) -> Any:
    """Return a release by id, or the running one of a model by the model's name."""
    if text.startswith("rel_"):
        return platform.releases.get(text)
    model = find_model(platform, text)
    running = platform.releases.running(model.id)
    if len(running) == 1:
        return running[0]
    if running:
        ids = ", ".join(release.id for release in running)
        raise InvalidInput("has several running releases", field="release", value=text, remedy=f"name one of {ids}")
    raise NotFound("has no running release", field="release", value=text, remedy=f"see: mainspring release list {text}")
