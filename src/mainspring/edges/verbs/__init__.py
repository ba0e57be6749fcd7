"""The one table of verbs. Commands, HTTP routes and OpenAPI derive from it; a new verb is one entry here."""

from __future__ import annotations

from mainspring.edges.verbs import (
    checks,
    data,
    environments,
    home,
    keys,
    ledger,
    log,
    mlflow,
    monitoring,
    policy,
    project,
    registry,
    rehearsal,
    release,
    serving,
    status,
    training,
)
from mainspring.edges.verbs.verb import Verb
from mainspring.kernel.errors import unknown

GROUPS = (
    "Project",
    "Data",
    "Training",
    "Checks",
    "Registry",
    "Release",
    "Serving",
    "Monitoring",
    "Ledger",
    "Keys",
    "Home",
)

VERBS: tuple[Verb, ...] = (
    *project.VERBS,
    *data.VERBS,
    *log.VERBS,
    *training.VERBS,
    *checks.VERBS,
    *registry.VERBS,
    *environments.VERBS,
    *mlflow.VERBS,
    *release.VERBS,
    *policy.VERBS,
    *rehearsal.VERBS,
    *serving.VERBS,
    *monitoring.VERBS,
    *ledger.VERBS,
    *keys.VERBS,
    *status.VERBS,
    *home.VERBS,
)


def find(name: str) -> Verb:
    """Return the verb of that name."""
    for verb in VERBS:
        if verb.name == name:
            return verb
    raise unknown("verb", name, (verb.name for verb in VERBS))
