"""What each process of a home gets of the environment: what it needs, and no secret that is another's."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mainspring.adapters.jobs.local import FRUGAL
from mainspring.adapters.settings import PREFIX, Settings

_NAMES = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TMPDIR", "TZ", "TZDIR", "VIRTUAL_ENV", "HOSTNAME",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LD_PRELOAD", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
))  # fmt: skip
_KINDS = ("LC_", "PYTHON", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "POLARS_", "MALLOC_", "ORT_", PREFIX)
_OF_CONTROL = ("STORE", "LEDGER_KEY", "MLFLOW", "MLFLOW_TOKEN", "WEBHOOK_URL", "WEBHOOK_SECRET", "KEY", "PAGE_TOKEN")
_OF_SPOOLS = ("KAFKA_PASSWORD",)
_OF_TRACES = ("OTLP_ENDPOINT",)
_OF_BUCKETS = ("AWS_",)


def child_environment() -> dict[str, str]:
    """Return the environment of control: all of ours, with one thread for numeric libraries unless told otherwise."""
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("POLARS_MAX_THREADS", "2")
    for name, value in FRUGAL.items():
        environment.setdefault(name, value)
    return environment


def of_gateway(given: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the environment of a process that answers: nothing that opens database or ledger, or signs alarms.

    Keys of buckets are there only where it reads graphs from one.
    """
    kept = _plain(given, without=_OF_CONTROL)
    return kept | (_of(given, _OF_BUCKETS) if settings.blobs else {})


def of_models(given: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the environment of what keeps model processes running, which writes no log and sends no traces."""
    kept = _plain(given, without=(*_OF_CONTROL, *_OF_SPOOLS, *_OF_TRACES))
    return kept | (_of(given, _OF_BUCKETS) if settings.blobs else {})


def _plain(given: Mapping[str, str], *, without: tuple[str, ...]) -> dict[str, str]:
    barred = {PREFIX + name for name in without}
    return {
        name: value
        for name, value in given.items()
        if name not in barred and (name.upper() in _NAMES or name.startswith((*_KINDS, *FRUGAL)))
    }


def _of(given: Mapping[str, str], kinds: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name.startswith(kinds)}
