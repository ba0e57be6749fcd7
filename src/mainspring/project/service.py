"""Applying projects: evaluate in a worker, inspect, check the whole, show the difference, store a revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import insert, select

from mainspring.features.service import FeatureService
from mainspring.features.spec import SourceSpec
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, InvalidInput, InvalidProject, MainspringError, NotFound
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.log.ports import Blobs
from mainspring.project.difference import Change, difference
from mainspring.project.evaluate import revision_of
from mainspring.project.expectation import expectation
from mainspring.project.fit import misfits, with_columns
from mainspring.project.given import checked_name
from mainspring.project.manifest import Evaluated, ModelEntry, Revision
from mainspring.project.rows import undeclared_model, write_rows
from mainspring.project.tables import revisions
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.tables import projects as project_rows
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.policy import Policy, decode_policy
from mainspring.training.ports import Job, Jobs, Result

DECLARING_FILE = "project.py"
APPLY_TIMEOUT_S = 60.0
UNDECLARED = "notebook"  # the project of models that were registered without one


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a release of a model is expected to be decided; ``days`` is None where nothing is known to judge by."""

    model: str
    days: float | None
    reason: str


class Applied(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``apply`` did or, for a dry run, would do."""

    project: str
    revision: str
    changed: bool
    dry_run: bool
    difference: tuple[Change, ...] = ()
    expected: tuple[Expected, ...] = ()
    warnings: tuple[str, ...] = ()


class RevisionLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One application of a revision."""

    digest: str
    applied_us: int
    applied_by: str
    root: str
    ledger_seq: int


class ProjectService:
    """Keeps projects as immutable revisions and the newest one's sources, views and models as rows."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        features: FeatureService,
        blobs: Blobs,
        jobs: Jobs,
        clock: Clock,
        forecast: Callable[[str, Policy], Forecast] | None = None,
        check_approval: Callable[[ModelRow, Policy, str], None] | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._features = features
        self._blobs = blobs
        self._jobs = jobs
        self._clock = clock
        self._forecast = forecast
        self._check_approval = check_approval

    def apply(
        self,
        path: Path,
        *,
        by: str,
        dry_run: bool = False,
        name: str | None = None,
        timeout_s: float = APPLY_TIMEOUT_S,
    ) -> Applied:
        """Make a project's declarations the newest revision; the same ones again change nothing.

        ``path`` is the project's folder or its declaring file; ``name`` is the folder's unless given. Raises
        ``InvalidProject`` with every fault at once; then nothing was changed.
        """
        root, file = located(path)
        project = _project_name(name or root.name)
        result = self._jobs.run(
            Job("apply", {"root": str(root), "file": file, "project": project}, timeout_s=timeout_s)
        )
        fed = self._features.fed()
        try:
            revision, expected = self._checked(root, result)
            last = self._last(project)
            changes = tuple(difference(last, revision))
            changed = last is None or last.digest() != revision.digest()
            self._check_approvals(revision, last, by)
            if changed and not dry_run:
                self._keep_files(revision, result)
                self._commit(revision, root, changes, last, by)
        finally:
            self._jobs.discard(result)
        if changed and not dry_run:
            self._features.catch_up()
            self._features.let_go(fed - self._features.fed())
        return Applied(project, revision.digest(), changed, dry_run, changes, expected, tuple(_warnings(revision)))

    def revisions(self, project: str) -> list[RevisionLine]:
        """Return every application of a project's revisions, newest first."""
        id = self._registry.project(project)
        query = select(revisions).where(revisions.c.project == id).order_by(revisions.c.id.desc())
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [RevisionLine(row.digest, row.applied_us, row.applied_by, row.root, row.ledger_seq) for row in rows]

    def revision(self, digest: str) -> Revision:
        """Return a stored revision by its digest."""
        return revision_of(self._blobs.get(digest))

    def root_of(self, project: str) -> str | None:
        """Return the folder from which a project was last applied; None for one that never was."""
        lines = self.revisions(project)
        return lines[0].root if lines else None

    def undeclared(self, tx: Transaction, name: str) -> str:
        """Return the id of a model that is registered without a declaration; make it if there is none."""
        return undeclared_model(tx, UNDECLARED, checked_name("model", name))

    def _checked(self, root: Path, result: Result) -> tuple[Revision, tuple[Expected, ...]]:
        """Return the revision with the sources' columns and forecasts, or raise every fault that code and data show."""
        evaluated = msgspec.convert(result.manifest, Evaluated)
        faults: list[MainspringError] = [fault.error() for fault in evaluated.faults]
        sources = []
        for source in evaluated.revision.sources:
            try:
                inspected = self._features.inspect(source, root)
            except InvalidProject as error:
                faults.extend(error.faults)
                inspected = source
            except MainspringError as error:
                faults.append(_in_source(source, error))
                inspected = source
            sources.append(inspected)
        revision = with_columns(evaluated.revision, sources)
        faults.extend(misfits(revision))
        faults.extend(self._other_questions(revision))
        forecasts = [] if faults else self._forecasts(revision, evaluated.rows_per_day)
        faults.extend(_undecidable(entry, seen) for entry, seen in forecasts if seen.decidable is False)
        if faults:
            raise InvalidProject(list({fault.sentence(): fault for fault in faults}.values()))
        return revision, tuple(Expected(entry.spec.name, seen.days, seen.reason) for entry, seen in forecasts)

    def _other_questions(self, revision: Revision) -> list[InvalidInput]:
        """Return a fault for each model whose versions answer another question than is declared now."""
        faults = []
        for row in self._rows(revision.project):
            entry = next((entry for entry in revision.models if entry.spec.name == row.name), None)
            if entry is None or row.spec is None or not self._registry.versions(row.id):
                continue
            for field in ("entity", "task"):
                was, now = getattr(row.spec, field), getattr(entry.spec, field)
                if was != now:
                    remedy = "give the new model another name"
                    what = f"cannot change from {was!r}: there are versions of it"
                    faults.append(InvalidInput(what, field=f"Model({row.name!r}).{field}", value=now, remedy=remedy))
        return faults

    def _forecasts(self, revision: Revision, rows_per_day: dict[str, float]) -> list[tuple[ModelEntry, Forecast]]:
        """Return when a release of each model would be decided, by its own traffic or else by its source's rows."""
        rows = {row.name: row for row in self._rows(revision.project)}
        found = []
        for entry in revision.models:
            policy, row = _policy(entry), rows.get(entry.spec.name)
            seen = self._forecast(row.id, policy) if row is not None and self._forecast is not None else None
            if seen is None or seen.decidable is None:
                seen = expectation(entry, policy, rows_per_day.get(entry.spec.source))
            found.append((entry, seen))
        return found

    def _check_approvals(self, revision: Revision, last: Revision | None, by: str) -> None:
        """Refuse to take an approval away that a model asks for now, unless to somebody who could give it."""
        declared = {entry.spec.name: entry.release for entry in last.models} if last is not None else {}
        rows = {row.name: row for row in self._rows(revision.project)}
        for entry in revision.models:
            row, stands = rows.get(entry.spec.name), declared.get(entry.spec.name, ()) == entry.release
            if row is not None and not stands and self._check_approval is not None:
                self._check_approval(row, _policy(entry), by)

    def _rows(self, project: str) -> list[ModelRow]:
        return self._registry.models(project)

    def _last(self, project: str) -> Revision | None:
        with self._store.read() as connection:
            digest = connection.scalar(select(project_rows.c.revision).where(project_rows.c.name == project))
        return self.revision(digest) if digest else None

    def _keep_files(self, revision: Revision, result: Result) -> None:
        for path, digest in revision.files.items():
            if self._blobs.put_file(result.folder / "files" / digest) != digest:
                raise Damaged("is not what the worker read", field=path, remedy="apply again")
        self._blobs.put(revision.encoded())
        reached("project.after_files")

    def _commit(
        self, revision: Revision, root: Path, changes: Sequence[Change], last: Revision | None, by: str
    ) -> None:
        rows = self._rows(revision.project)
        needed = {view for row in rows for version in self._registry.versions(row.id) for view in version.views}
        with self._store.begin(by) as tx:
            project = write_rows(tx, revision, root, needed, last)
            digest = revision.digest()
            entry = tx.record(
                "project.applied", project, _reason(changes), _numbers(revision, changes), project=project
            )
            tx.connection.execute(
                insert(revisions).values(
                    project=project,
                    digest=digest,
                    root=str(root),
                    applied_by=by,
                    applied_us=tx.at_us,
                    ledger_seq=entry.seq,
                )
            )
            reached("project.before_commit")


def located(path: Path) -> tuple[Path, str]:
    """Return a project's folder and its declaring file, or say that there is none."""
    path = path.resolve()
    if path.is_dir() and (path / DECLARING_FILE).is_file():
        return path, DECLARING_FILE
    if path.is_file() and path.suffix == ".py":
        return path.parent, path.name
    raise NotFound(
        "there is no declaring file here",
        field="project",
        value=str(path),
        remedy="name a folder with a project.py, or make one: mainspring init FOLDER",
    )


def _project_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:120]
    if not name:
        raise InvalidInput("is no name for a project", field="project", value=text, remedy="name it with --name")
    return name


def _in_source(source: SourceSpec, error: MainspringError) -> MainspringError:
    place = f"Source({source.name!r})"
    if error.field and error.field.startswith(place):
        return error
    field = f"{place}.{error.field}" if error.field else place
    return InvalidInput(error.what, field=field, value=error.value, remedy=error.remedy)


def _undecidable(entry: ModelEntry, seen: Forecast) -> InvalidInput:
    what = f"cannot decide by its deadline: {seen.reason}"
    field = f"Model({entry.spec.name!r}).release"
    return InvalidInput(what, field=field, remedy="give it more time, or a wider margin")


def _policy(entry: ModelEntry) -> Policy:
    return decode_policy(msgspec.json.encode(entry.release).decode() if entry.release else None)


def _warnings(revision: Revision) -> list[str]:
    warnings = [
        f"{entry.spec.name} says that its answers can change what comes true, so versions are compared by drawn "
        "traffic, which needs some hundred times as many outcomes; say affected_by_answer=False if that is so"
        for entry in revision.models
        if entry.spec.outcome.affected_by_answer
    ]
    if not revision.lock:
        warnings.append("no lock file (uv.lock, pylock.toml, requirements.txt …) pins what the project runs with")
    return warnings


def _reason(changes: Sequence[Change]) -> str:
    counts = [sum(change.kind == kind for change in changes) for kind in ("added", "changed", "removed")]
    return f"declarations changed: {counts[0]} added, {counts[1]} changed, {counts[2]} removed"


def _numbers(revision: Revision, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "revision": revision.digest(),
        "difference": [change.sentence() for change in changes[:100]],
        "sources": len(revision.sources),
        "views": len(revision.views),
        "models": len(revision.models),
        "files": len(revision.files),
    }
