"""The public words of a project, each under the name that users write after ``ms.``"""

from __future__ import annotations

from functools import cache
from typing import Any

from mainspring.checks import spec as checks
from mainspring.kernel.errors import nearest
from mainspring.monitoring.spec import Drift, Health, Quality, Silence
from mainspring.project.collection import Faulty, GuardedModule, fault, guarded, is_collecting
from mainspring.project.declarations import PUBLIC
from mainspring.registry.model import Batching
from mainspring.release.policy import (
    ABTest,
    Approval,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Immediate,
    Shadow,
    metrics,
)
from mainspring.training.spec import Retrain


@cache
def words() -> dict[str, Any]:
    """Return every public word with what it stands for."""
    policies = (Immediate, BlueGreen, Shadow, Canary, ABTest, Bandit, ChampionChallenger, Approval)
    specs = (*policies, Drift, Quality, Health, Silence, Retrain, Batching)
    return {
        **PUBLIC,
        **{spec.__name__: guarded(spec, spec.__name__) for spec in specs},
        "checks": GuardedModule(checks, "checks"),
        "metrics": GuardedModule(metrics, "metrics"),
    }


def word(name: str) -> Any:
    """Return what a word stands for; an unknown one is a fault, or an AttributeError, that names the nearest."""
    known = words()
    if name not in known:
        if is_collecting():
            fault("is not a word of mainspring", field=f"ms.{name}", remedy=nearest(name, known))
            return Faulty()
        raise AttributeError(f"mainspring has no {name!r}; {nearest(name, known)}")
    return known[name]
