"""Mainspring keeps machine-learning models healthy in production: ``import mainspring as ms``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mainspring.checks import spec as checks
    from mainspring.edges.notebook import register
    from mainspring.monitoring.spec import Drift, Health, Quality, Silence
    from mainspring.project.model import Model
    from mainspring.project.outcome import Outcome
    from mainspring.project.source import Source, push, sql
    from mainspring.project.view import FeatureView, count, last, mean, share
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

__all__ = [
    "ABTest",
    "Approval",
    "Bandit",
    "Batching",
    "BlueGreen",
    "Canary",
    "ChampionChallenger",
    "Drift",
    "FeatureView",
    "Health",
    "Immediate",
    "Model",
    "Outcome",
    "Quality",
    "Retrain",
    "Shadow",
    "Silence",
    "Source",
    "__version__",
    "checks",
    "count",
    "last",
    "mean",
    "metrics",
    "push",
    "register",
    "share",
    "sql",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts at once."""
    if name.startswith("_"):
        raise AttributeError(f"module 'mainspring' has no attribute {name!r}")
    if name == "register":
        from mainspring.edges.notebook import register

        return register
    from mainspring.project.words import word

    return word(name)


def __dir__() -> list[str]:
    return __all__


class _Public(ModuleType):
    """Keeps ``ms.checks`` the words of a project, where importing the package of that name would put itself."""

    @property
    def checks(self) -> Any:
        return __getattr__("checks")

    @checks.setter
    def checks(self, _: ModuleType) -> None:
        """Let the import system find its package in ``sys.modules``, where it looks first."""


sys.modules[__name__].__class__ = _Public
