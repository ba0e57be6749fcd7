"""Settings of a home: ``settings.toml`` in it, then the environment. Frozen, checked whole, unknown keys refused."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from mainspring.adapters.bucket import split_url
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.streams.kafka.place import Mechanism
from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.misfit import misfit
from mainspring.serving.limits import Limits

PREFIX = "MAINSPRING_"
_SECRETS = ("webhook_secret", "mlflow_token", "kafka_password")
_LISTS = ("webhook_hosts", "hosts")
_URLS = ("spool", "mlflow", "otlp_endpoint", "s3_endpoint")
_PLACES = ("store", "blobs", "tables")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set.

    ``acknowledgement`` says when a prediction is answered: once it is on disk (``durable``), within milliseconds of
    being so (``batched``), or whenever (``best_effort``).
    ``invocations_model`` (``project/name``, or a name) answers ``/invocations``, where callers name no model; one model
    alone needs no setting. ``webhook_url`` gets alarms, signed with ``webhook_secret``;
    only ``webhook_hosts`` are reached; private addresses and plain HTTP must be allowed on purpose. Monitors are looked
    at ``watch_every`` so often. Predictions and outcomes are kept for ``keep_predictions`` (for ever if not said; a
    model may say otherwise), and an outcome of something that nobody asked about waits for ``park_outcomes`` (twice its
    model's ``matures_after`` if not said). ``publish`` is where the log is published as Delta tables, ``publish_every``
    so often: ``delta://`` in the home, ``delta:///data/log`` elsewhere. ``limits`` is what a gateway worker takes.
    ``spool`` is a topic in the place of the folder where records wait for control: ``kafka://host:port/topic``. Its
    broker is reached encrypted with ``kafka_tls`` (signed by ``kafka_ca``, else by whom the system trusts; as who
    ``kafka_cert`` and ``kafka_key`` say), and as ``kafka_user`` by ``kafka_mechanism``, whose password stands in the
    environment or in ``kafka_password_file``.
    ``roles`` says who has which role, for releases that ask somebody for approval.

    ``ledger_heads`` is a file, best on another disk, that gets the ledger's newest head after each turn of the loop.
    ``erased_subjects`` is one, best beside the backups, that says by digest who was erased: a restore holds a backup
    against it.

    ``store`` is the URL of a PostgreSQL database that takes the place of ``meta.db``; a control that was not heard of
    for ``store_lease`` gives way to one that stands by. ``blobs`` and ``tables`` are places in buckets,
    ``s3://bucket/prefix``; ``s3_endpoint`` names a server other than Amazon's; at most ``s3_cache_mb`` of each stay in
    the home's folder.

    A process that has not turned for ``replace_hanging_after``, though nothing kept it from it, is ended by
    ``mainspring up`` and started anew. A model process that holds more than ``model_memory_mb`` is ended and
    started anew. ``mlflow`` is the URL of an MLflow server that aliases and their versions are mirrored to.

    On another address than loopback, keys are required (``require_keys`` asks for them on loopback too), and either
    ``tls_cert`` and ``tls_key`` are named or ``behind_proxy`` states that a proxy ends TLS. ``hosts`` are the names by
    which the page and the API of control may be asked then, such as ``mainspring.example:8081``.

    Gateways log ``log_requests`` of the answers, between 0 and 1, and all refusals; with the extra ``otel`` they send
    spans to the collector at ``otlp_endpoint``: those that callers sample, and ``trace_share`` of the others.

    >>> Settings(acknowledgement="durable").read_sources_every
    '15m'
    """

    acknowledgement: Literal["durable", "batched", "best_effort"] = "batched"
    invocations_model: str = ""
    read_sources_every: str = "15m"
    watch_every: str = "5m"
    keep_predictions: str = ""
    park_outcomes: str = ""
    spool: str = ""
    publish: str = ""
    publish_every: str = "1m"
    webhook_url: str = ""
    webhook_hosts: tuple[str, ...] = ()
    webhook_secret: str = ""
    webhook_allow_private: bool = False
    webhook_allow_plain: bool = False
    require_keys: bool = False
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    hosts: tuple[str, ...] = ()
    log_requests: float = 0.0
    otlp_endpoint: str = ""
    trace_share: float = 1.0
    limits: Limits = Limits()
    ledger_heads: str = ""
    erased_subjects: str = ""
    store: str = ""
    store_lease: str = "10s"
    replace_hanging_after: str = "30s"
    model_memory_mb: int = 4_096
    mlflow: str = ""
    mlflow_token: str = ""
    roles: dict[str, tuple[str, ...]] = {}
    blobs: str = ""
    tables: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_cache_mb: Annotated[int, msgspec.Meta(ge=1)] = 4_000
    kafka_tls: bool = False
    kafka_ca: str = ""
    kafka_cert: str = ""
    kafka_key: str = ""
    kafka_user: str = ""
    kafka_mechanism: Mechanism = "SCRAM-SHA-512"
    kafka_password: str = ""
    kafka_password_file: str = ""

    def __post_init__(self) -> None:
        for name in ("read_sources_every", "watch_every", "publish_every", "store_lease"):
            parse_duration(getattr(self, name), field=name)
        if self.store:
            _check_database(self.store)
        _check_header("mlflow_token", self.mlflow_token)
        if self.publish and not (self.publish == "delta://" or self.publish.startswith("delta:///")):
            remedy = "use delta:// for a folder in the home, or delta:///an/absolute/path"
            raise InvalidInput("is not where Delta tables can be", field="publish", value=self.publish, remedy=remedy)
        for name in ("keep_predictions", "park_outcomes"):
            if getattr(self, name):
                parse_duration(getattr(self, name), field=name)
        if parse_duration(self.replace_hanging_after, field="replace_hanging_after") < timedelta(seconds=5):
            remedy = "give at least 5s: a busy machine may hold up anything for a while"
            value = self.replace_hanging_after
            raise InvalidInput("is too short", field="replace_hanging_after", value=value, remedy=remedy)
        if self.model_memory_mb < 64:
            remedy = "give at least 64: an interpreter with its libraries holds that much"
            raise InvalidInput("is too little", field="model_memory_mb", value=self.model_memory_mb, remedy=remedy)
        for name in ("log_requests", "trace_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidInput("is not a share", field=name, value=getattr(self, name), remedy="give 0 to 1")
        if bool(self.tls_cert) != bool(self.tls_key):
            remedy = "name both files, or none"
            raise InvalidInput("goes with the other half of its pair", field="tls_cert, tls_key", remedy=remedy)
        for name in ("blobs", "tables"):
            if getattr(self, name):
                split_url(getattr(self, name), name)
        _check_kafka(self)
        if self.webhook_url and not self.webhook_secret:
            raise InvalidInput(
                "is needed to sign alarms",
                field="webhook_secret",
                remedy=f"set {PREFIX}WEBHOOK_SECRET to a random text",
            )

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown(self).items())})"


class Setting(msgspec.Struct, frozen=True):
    """One setting with its value as it may be shown, and where it came from."""

    name: str
    value: Any
    origin: str


def read_settings(
    home: Path, environment: Mapping[str, str] | None = None, *, alarms: bool = True
) -> tuple[Settings, list[Setting]]:
    """Return the settings of a home, and where each value came from; the environment wins over the file.

    Processes that send no ``alarms`` do without what these need: they are not told the secret that signs them.
    """
    environment = os.environ if environment is None else environment
    path = home / "settings.toml"
    values = _file(path)
    origins = dict.fromkeys(values, str(path))
    for name in Settings.__struct_fields__:
        text = environment.get(PREFIX + name.upper())
        if text is not None:
            values[name] = text.split(",") if name in _LISTS else _roles(text) if name == "roles" else text
            origins[name] = PREFIX + name.upper()
    if not alarms:
        values.pop("webhook_url", None)
    values["limits"] = _limits(values.get("limits", {}), environment, origins, str(path))
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        fault = misfit(error, values, Settings)
        where = origins.get(fault.field or "")
        remedy = fault.remedy or (f"change it in {where}" if where else None)
        raise InvalidInput(fault.what, field=fault.field, value=fault.value, remedy=remedy) from None
    told = shown(settings)
    return settings, [Setting(name, value, origins.get(name, "default")) for name, value in told.items()]


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as they may be shown: a secret is only said to be set."""
    values = msgspec.structs.asdict(settings)
    values["store"] = without_password(settings.store)
    for name in _URLS:
        values[name] = _without_query(without_password(values[name]))
    values["webhook_url"] = _host_only(settings.webhook_url)
    limits = msgspec.structs.asdict(values.pop("limits"))
    told = {name: ("set" if value else "not set") if name in _SECRETS else value for name, value in values.items()}
    return told | {f"limits.{name}": value for name, value in limits.items()}


def _limits(given: Any, environment: Mapping[str, str], origins: dict[str, str], path: str) -> Any:
    """Return the table ``[limits]`` with what the environment says of it, as in ``MAINSPRING_LIMITS_ROWS``."""
    origins.pop("limits", None)
    if not isinstance(given, dict):
        return given
    for name in given:
        if name not in Limits.__struct_fields__:
            remedy = nearest(name, Limits.__struct_fields__)
            raise InvalidInput("is not a limit", field="settings.toml", value=name, remedy=remedy)
        origins[f"limits.{name}"] = path
    found = dict(given)
    for name in Limits.__struct_fields__:
        variable = f"{PREFIX}LIMITS_{name.upper()}"
        if variable in environment:
            found[name] = environment[variable]
            origins[f"limits.{name}"] = variable
    return found


def without_password(url: str) -> str:
    """Return a URL with its password hidden.

    >>> without_password("postgresql://ann:secret@db/shop")
    'postgresql://ann:***@db/shop'
    """
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    name, colon, password = user.partition(":")
    return f"{scheme}{mark}{name}{colon}{'***' if password else ''}{at}{host}{slash}{path}" if at else url


def _without_query(url: str) -> str:
    address, mark, _ = url.partition("?")
    return f"{address}{mark}***" if mark else url


def _host_only(url: str) -> str:
    """Return a URL without what may be a token: that of a webhook stands in its path as often as in its query."""
    scheme, mark, rest = url.partition("://")
    host, slash, _ = rest.rpartition("@")[2].partition("/")
    return f"{scheme}{mark}{host.partition('?')[0]}{slash and '/***'}" if mark else "***" if url else ""


def _check_database(url: str) -> None:
    """Refuse a URL whose password could not be told from what may be shown; it is never in the message."""
    remedy = "leave it out for meta.db in the home, or give postgresql://user@host/name"
    if not url.startswith("postgresql://"):
        raise InvalidInput("is not the URL of a PostgreSQL database", field="store", remedy=remedy)
    user, at, after = url.removeprefix("postgresql://").rpartition("@")
    if at and any(mark in user for mark in "/?#@"):
        remedy = "write %40 for @, %2F for /, %3F for ? and %23 for # in user and password, or set PGPASSWORD"
        raise InvalidInput("holds signs that end a password", field="store", remedy=remedy)
    if "password" in after.partition("?")[2].lower():
        remedy = "write it as postgresql://user:password@host/name, or set PGPASSWORD"
        raise InvalidInput("a password does not belong behind the question mark", field="store", remedy=remedy)
    try:
        urlsplit(f"postgresql://{after}").port  # noqa: B018  (it raises where it is none)
    except ValueError:
        what = "names a port that is no number, or has a password without an @ behind it"
        raise InvalidInput(what, field="store", remedy=remedy) from None


def _check_kafka(settings: Settings) -> None:
    """Refuse what would be sent in the clear, and halves of what belongs together."""
    if bool(settings.kafka_cert) != bool(settings.kafka_key):
        remedy = "name both files, or none"
        raise InvalidInput("goes with the other half of its pair", field="kafka_cert, kafka_key", remedy=remedy)
    if (settings.kafka_ca or settings.kafka_cert) and not settings.kafka_tls:
        raise InvalidInput("is off, though files for it are named", field="kafka_tls", remedy="set it to true")
    if settings.kafka_user and settings.kafka_mechanism == "PLAIN" and not settings.kafka_tls:
        remedy = "set kafka_tls, or take SCRAM-SHA-512"
        raise InvalidInput(
            "would send the password in the clear", field="kafka_mechanism", value="PLAIN", remedy=remedy
        )
    if settings.kafka_password and settings.kafka_password_file:
        raise InvalidInput("is stated twice", field="kafka_password, kafka_password_file", remedy="keep one of them")


def _check_header(name: str, token: str) -> None:
    """Refuse a token that cannot stand in a header: what sends it would print it in its complaint."""
    if not (token.isascii() and token.isprintable() and " " not in token):
        remedy = f"look for a line's end or a space in {PREFIX}{name.upper()}"
        raise InvalidInput("holds what cannot stand in a header", field=name, remedy=remedy)


def keep_setting(home: Path, name: str, value: str) -> None:
    """Write a text into a home's settings in one step, without a password: that stays in the environment."""
    path = home / "settings.toml"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if line.partition("=")[0].strip() != name]
    # The name stands first: what follows a [table] would belong to that table.
    told = f"{name} = {json.dumps(strip_password(value))}"
    LocalDisk().write(path, "\n".join([told, *kept, ""]).encode())


def inside_settings(home: Path) -> bytes:
    """Return a home's settings as they are for a copy that has everything in its folder."""
    lines = (home / "settings.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("=")[0].strip() not in _PLACES).encode()


def strip_password(url: str) -> str:
    """Return a URL as it may be written down: without its password."""
    return without_password(url).replace(":***@", "@", 1) if without_password(url) != url else url


def _roles(text: str) -> dict[str, list[str]]:
    """Read roles as an environment gives them: ``risk=ann,bob;owner=cy``."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    return {role.strip(): [one.strip() for one in who.split(",") if one.strip()] for role, _, who in pairs}


def _file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        what = "cannot be opened" if isinstance(error, OSError) else "is not TOML in UTF-8"
        raise InvalidInput(
            f"{what}: {why}", field="settings.toml", value=str(path), remedy="mend it, or take it away"
        ) from None
    for name in values:
        if name not in Settings.__struct_fields__:
            remedy = nearest(name, Settings.__struct_fields__)
            raise InvalidInput("is not a setting", field="settings.toml", value=name, remedy=remedy)
        if name in _SECRETS:
            raise InvalidInput("does not belong into a file", field=name, remedy=f"set {PREFIX}{name.upper()}")
    if without_password(str(values.get("store", ""))) != values.get("store", ""):
        remedy = f"set PGPASSWORD, or the whole URL in {PREFIX}STORE"
        raise InvalidInput("a password does not belong into a file", field="store", remedy=remedy)
    return values
