"""The part of MLflow's REST API that resolves ``models:/name@alias`` and downloads what it points at; it only reads.

Names are those of models, or ``project.model`` where several projects have one. Files are served by name out of the
version's own list, never by a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.mlflow import VERSION_FILE
from mainspring.kernel.errors import InvalidInput, MainspringError, NotFound
from mainspring.loop.mirror import tracked_names
from mainspring.registry.mlmodel import DATA, FILE, write_mlmodel
from mainspring.registry.version import Version
from mainspring.serving.routing import version_route

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow

ROOT = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_SCHEME = "mlflow-artifacts:/"


def answer(platform: Platform, call: str, asked: dict[str, str]) -> dict[str, Any]:
    """Return what MLflow's server would answer to one of ``CALLS``."""
    return CALLS[call](platform, asked)


def artifact(platform: Platform, path: str) -> bytes:
    """Return one file of a version; ``path`` is ``version id/name``."""
    id, _, name = path.partition("/")
    found = _files(platform, platform.registry.version(id)).get(name)
    if found is None:
        raise NotFound("there is no such file", field="path", value=path)
    return platform.blobs.get(found) if isinstance(found, str) else found


def as_mlflow_says(error: MainspringError) -> dict[str, str]:
    """Return an error in the words that MLflow's client looks for."""
    code = "RESOURCE_DOES_NOT_EXIST" if error.code == "not_found" else "INVALID_PARAMETER_VALUE"
    return {"error_code": code, "message": error.sentence()}


def _files(platform: Platform, version: Version) -> dict[str, str | bytes]:
    """Return a version's folder as MLflow has it: name to bytes, or to the digest of a blob."""
    original = {name.removeprefix("mlflow/"): one for name, one in version.files.items() if name.startswith("mlflow/")}
    if version.runtime == "mlflow":
        return dict(original)
    pins = [f"{name}=={number}" for name, number in sorted(version.environment.packages.items())]
    route = version_route(version, "")
    return {
        FILE: write_mlmodel(version).encode(),
        "requirements.txt": "\n".join(["mlflow", "mainspring", *pins]).encode(),
        "python_env.yaml": f"python: {version.environment.python}\ndependencies:\n- -r requirements.txt\n".encode(),
        f"{DATA}/{VERSION_FILE}": msgspec.json.encode(route),
        **{f"{DATA}/{name}": one for name, one in version.files.items()},
    }


def _listed(platform: Platform, asked: dict[str, str]) -> dict[str, Any]:
    id, _, below = _needed(asked, "path").strip("/").partition("/")
    start = f"{below}/" if below else ""
    found: dict[str, dict[str, Any]] = {}
    for name, content in _files(platform, platform.registry.version(id)).items():
        if name.startswith(start):
            first, _, deeper = name[len(start) :].partition("/")
            size = len(content) if isinstance(content, bytes) else platform.blobs.path(content).stat().st_size
            found[first] = {"path": first, "is_dir": bool(deeper), **({} if deeper else {"file_size": size})}
    return {"files": [found[name] for name in sorted(found)]}


def _alias(platform: Platform, asked: dict[str, str]) -> dict[str, Any]:
    model = _model(platform, asked)
    alias = _needed(asked, "alias")
    version = platform.registry.alias(model.id, alias)
    if version is None:
        raise NotFound("points nowhere", field="alias", value=alias)
    return {"model_version": _version(platform, asked["name"], version)}


def _one_version(platform: Platform, asked: dict[str, str]) -> dict[str, Any]:
    return {"model_version": _version(platform, asked["name"], _numbered(platform, asked))}


def _download(platform: Platform, asked: dict[str, str]) -> dict[str, Any]:
    return {"artifact_uri": _SCHEME + _numbered(platform, asked).id}


def _registered(platform: Platform, asked: dict[str, str]) -> dict[str, Any]:
    return {"registered_model": _shown(platform, _model(platform, asked), asked["name"])}


def _search(platform: Platform, asked: dict[str, str]) -> dict[str, Any]:
    models = platform.registry.models()
    return {"registered_models": [_shown(platform, model, name) for name, model in tracked_names(models)]}


def _shown(platform: Platform, model: ModelRow, name: str) -> dict[str, Any]:
    pointed = platform.registry.aliases(model.id)
    return {
        "name": name,
        "aliases": [{"alias": alias, "version": str(version.number)} for alias, version in sorted(pointed.items())],
        "latest_versions": [_version(platform, name, one) for one in platform.registry.versions(model.id)[-1:]],
    }


def _version(platform: Platform, name: str, version: Version) -> dict[str, Any]:
    pointed = platform.registry.aliases(version.model)
    return {
        "name": name,
        "version": str(version.number),
        "creation_timestamp": version.created_us // 1_000,
        "last_updated_timestamp": version.created_us // 1_000,
        "current_stage": "None",
        "source": _SCHEME + version.id,
        "status": "READY",
        "aliases": sorted(alias for alias, one in pointed.items() if one.id == version.id),
        "tags": [{"key": "mainspring.version", "value": version.id}],
    }


def _model(platform: Platform, asked: dict[str, str]) -> ModelRow:
    name = _needed(asked, "name")
    known = {model.name for model in platform.registry.models()}
    project, dot, model = name.partition(".")
    return platform.registry.model(project if dot and name not in known else None, model if name not in known else name)


def _numbered(platform: Platform, asked: dict[str, str]) -> Version:
    number = _needed(asked, "version")
    if not number.isdecimal() or len(number) > 9:
        raise InvalidInput("is not a number", field="version", value=number)
    return platform.registry.by_number(_model(platform, asked).id, int(number))


def _needed(asked: dict[str, str], name: str) -> str:
    if not asked.get(name):
        raise InvalidInput("is missing", field=name)
    return asked[name]


CALLS = {
    f"{ROOT}/registered-models/alias": _alias,
    f"{ROOT}/registered-models/get": _registered,
    f"{ROOT}/registered-models/search": _search,
    f"{ROOT}/model-versions/get": _one_version,
    f"{ROOT}/model-versions/get-download-uri": _download,
    ARTIFACTS: _listed,
}
