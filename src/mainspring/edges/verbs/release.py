"""Verbs of releases: which version should answer."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model, find_release, find_version
from mainspring.edges.verbs.verb import Change, Permission, Verb
from mainspring.kernel.errors import InvalidInput
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.release.policy import Policy


PolicyGiven = bytes | dict[str, Any] | None


class Start(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to release."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    version: Annotated[str, Meta(description="a number, an alias such as challenger, or an id; several with commas")]
    policy: Annotated[
        PolicyGiven, Meta(description="a file with a policy, as JSON or TOML; the model's own if not said")
    ] = None


class ChangePolicy(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A running release and the policy to go on by."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]
    policy: Annotated[bytes | dict[str, Any], Meta(description="a file with the whole new policy, as JSON or TOML")]
    dry_run: Annotated[bool, Meta(description="only say whether it would be taken")] = False


class Compare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release, and what of it to look at."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]
    by: Annotated[str | None, Meta(description="a column of the request to split by; several with commas")] = None
    version: Annotated[str | None, Meta(description="which challenger, where there are several")] = None


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release, and how many rows of it to look at."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]
    rows: Annotated[int, Meta(description="how many rows", ge=2, le=1_000)] = 20
    version: Annotated[str | None, Meta(description="which challenger, where there are several")] = None


class Forecasting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model, and the policy to judge."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    policy: Annotated[bytes | None, Meta(description="a file with a policy; the model's own if not said")] = None


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model some of whose units are held out on the champion."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    days: Annotated[int, Meta(description="how far back to look", ge=1, le=3_650)] = 90
    low: Annotated[float | None, Meta(description="least outcome, where it is an amount")] = None
    high: Annotated[float | None, Meta(description="greatest outcome, where it is an amount")] = None


class ListReleases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which releases."""

    model: Annotated[str | None, Meta(description="a model, as name or project/name; all if not said")] = None
    running: Annotated[bool, Meta(description="only those that run")] = False
    limit: Annotated[int, Meta(description="how many, the newest ones", ge=1, le=10_000)] = 100
    before: Annotated[str | None, Meta(description="id of a release; only those that started before it")] = None


class OneRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]


class Command(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A release, and why."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]


def start(platform: Platform, asked: Start, by: str) -> Any:
    model = find_model(platform, asked.model)
    texts = dict.fromkeys(text.strip() for text in asked.version.split(","))
    named = [find_version(platform, model, text) for text in texts]
    versions = list({version.id: version for version in named}.values())  # two names may mean one version
    if platform.registry.alias(model.id, CHAMPION) is None and len(versions) == 1:
        platform.releases.first_champion(model.id, versions[0].id, by=by, reason=asked.reason)
        platform.publisher.publish()
        return {"model": model.name, "champion": versions[0].number, "reason": "there was none to compare with"}
    from mainspring.release.policy import Shadow, decode_policy

    policy = policy_of(asked.policy) or decode_policy(model.release)
    first, *others = [version.id for version in versions]
    if others and isinstance(policy, Shadow):  # shadows do not stand in each other's way: each has its own release
        platform.releases.check_all(model.id, [first, *others], policy, by=by)  # all of them start, or none does
        found: Any = [
            platform.releases.start(model.id, id, policy, by=by, reason=asked.reason) for id in (first, *others)
        ]
    else:
        found = platform.releases.start(model.id, first, policy, by=by, reason=asked.reason, others=others)
    platform.publisher.publish()
    return found


def change(platform: Platform, asked: ChangePolicy, by: str) -> Any:
    found = find_release(platform, asked.release)
    policy = needed_policy(asked.policy)
    release = platform.releases.change(found.id, policy, by=by, reason=asked.reason, dry_run=asked.dry_run)
    platform.publisher.publish()
    return release


def needed_policy(given: PolicyGiven) -> Policy:
    """Read a policy that must be there."""
    policy = policy_of(given)
    if policy is None:
        raise InvalidInput("is empty", field="policy")
    return policy


def policy_of(given: PolicyGiven) -> Policy | None:
    """Read a policy from a file's bytes, which are JSON or TOML, or from a JSON object."""
    from mainspring.release.policy import read_policy

    if given is None:
        return None
    if isinstance(given, dict):
        return read_policy(given)
    try:
        text = given.decode()
        return read_policy(msgspec.json.decode(text) if text.lstrip().startswith("{") else tomllib.loads(text))
    except RecursionError:
        raise InvalidInput("is nested too deep", field="policy", remedy="write a table of plain values") from None
    except (msgspec.DecodeError, ValueError) as error:  # the second: TOML, UTF-8, and numbers of thousands of digits
        raise InvalidInput(f"is neither JSON nor TOML: {error}", field="policy") from None


def disagreement(platform: Platform, asked: Compare, by: str) -> Any:
    found = _any(platform, asked.release)
    columns = [column.strip() for column in asked.by.split(",")] if asked.by else []
    _check_columns(platform, found, columns)
    return platform.releases.reports.disagreement(found, columns, challenger=_one_of(platform, found, asked.version))


def _check_columns(platform: Platform, release: Any, columns: list[str]) -> None:
    """Refuse columns that no request of a declared model has."""
    from mainspring.kernel.errors import InvalidInput, nearest

    spec = platform.registry.model(None, release.model).spec
    known = [column.name for column in spec.columns] if spec is not None else []
    for column in columns:
        if known and column not in known:
            raise InvalidInput("no request has such a column", field="by", value=column, remedy=nearest(column, known))


def sample(platform: Platform, asked: Look, by: str) -> Any:
    found = _any(platform, asked.release)
    return platform.releases.reports.sample(found, asked.rows, challenger=_one_of(platform, found, asked.version))


def _any(platform: Platform, text: str) -> Any:
    """Return a release by id, running or over, or a model's running one."""
    return platform.releases.get(text) if text.startswith("rel_") else find_release(platform, text)


def _one_of(platform: Platform, release: Any, version: str | None) -> str | None:
    if version is None:
        return None
    model = find_model(platform, release.model)
    return str(find_version(platform, model, version).id)


def holdout(platform: Platform, asked: HeldOut, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.releases.reports.feedback(model.id, days=asked.days, low=asked.low, high=asked.high)


def list_releases(platform: Platform, asked: ListReleases, by: str) -> Any:
    model = find_model(platform, asked.model).id if asked.model else None
    return platform.releases.list(
        model, running=True if asked.running else None, newest=asked.limit, before=asked.before
    )


def show(platform: Platform, asked: OneRelease, by: str) -> Any:
    return find_release(platform, asked.release)


def _order(word: str) -> Callable[[Platform, Command, str], Any]:
    """Return the call for a person's command; gateways are told at once, not at the loop's next turn."""

    def call(platform: Platform, asked: Command, by: str) -> Any:
        found = _to_undo(platform, asked.release) if word == "roll_back" else find_release(platform, asked.release)
        result = getattr(platform.releases, word)(found.id, by=by, reason=asked.reason)
        platform.publisher.publish()
        return result

    return call


def _to_undo(platform: Platform, text: str) -> Any:
    """Return the release to undo; a model's name means its running one, or else the one promoted last."""
    return _latest(platform, text, status="promoted")


def _latest(platform: Platform, text: str, *, status: str | None = None) -> Any:
    """Return a release by id; a model's name means its running one, or else the last that ended (with ``status``)."""
    if text.startswith("rel_"):
        return platform.releases.get(text)
    model = find_model(platform, text)
    found = platform.releases.running(model.id) or platform.releases.list(model.id, status=status, newest=1)
    if found:
        return max(found, key=lambda release: release.started_us)
    return find_release(platform, text)


def recompute(platform: Platform, asked: OneRelease, by: str) -> Any:
    return platform.releases.recompute(_latest(platform, asked.release).id)


def explain_release(platform: Platform, asked: OneRelease, by: str) -> Any:
    from mainspring.ledger.queries import entries
    from mainspring.release.explain import explain

    found = platform.releases.get(_latest(platform, asked.release).id)
    with platform.store.read() as connection:
        about = entries(connection, subject=found.id)
    return explain(found, about)


def forecast(platform: Platform, asked: Forecasting, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.releases.forecast(model.id, policy_of(asked.policy) or model.release)


_ONE = (
    "id",
    "model_name",
    "challenger_number",
    "recipe",
    "champion_number",
    "status",
    "stage",
    "share",
    "started_us",
    "deadline_us",
    "asked",
    "policy",
    "contenders",
    "approved",
    "decision.sentence",
    "decision.waiting",
    "forecast.reason",
    "evidence",
    "champion",
    "reason",
)


def _command(word: str, summary: str, *, order: str | None = None, permission: Permission = "operate") -> Verb:
    return Verb(
        name=f"release {word}",
        group="Release",
        summary=summary,
        arguments=Command,
        call=_order(order or word),
        permission=permission,
        positional=("release",),
        columns=_ONE,
    )


VERBS = (
    Verb(
        name="release start",
        group="Release",
        summary="Start releasing a version by the model's policy or another one",
        arguments=Start,
        call=start,
        permission="operate",
        positional=("model", "version"),
        columns=_ONE,
    ),
    Verb(
        name="release list",
        group="Release",
        summary="List releases with their stage and verdict",
        arguments=ListReleases,
        call=list_releases,
        positional=("model",),
        columns=(
            "id",
            "model_name",
            "challenger_number",
            "champion_number",
            "stage",
            "share",
            "status",
            "started_us",
            "reason",
        ),
    ),
    Verb(
        name="release show",
        group="Release",
        summary="Show a release with its evidence and decisions",
        arguments=OneRelease,
        call=show,
        positional=("release",),
        columns=_ONE,
    ),
    Verb(
        name="release recompute",
        group="Release",
        summary="Work each decision out again from the log, and say what differs or why that cannot be told",
        arguments=OneRelease,
        call=recompute,
        positional=("release",),
        columns=("at_us", "kind", "reason", "equal", "difference"),
        long_running=True,
    ),
    Verb(
        name="release explain",
        group="Release",
        summary="Tell what was asked, agreed, seen and decided, as a person would",
        arguments=OneRelease,
        call=explain_release,
        positional=("release",),
    ),
    _command("hold", "Keep a release where it is until it is resumed"),
    _command("resume", "Let a held release go on"),
    _command("abort", "End a release at once; the champion answers everything"),
    _command("promote", "Make the challenger champion on your word; the ledger says that evidence was waived"),
    _command("rollback", "Undo a release: the version before it becomes champion again", order="roll_back"),
    _command(
        "approve", "Sign off a release that asks for it; look at a sample of its answers first", permission="approve"
    ),
    Verb(
        name="release change",
        group="Release",
        summary="Go on by another policy, where the evidence so far stays valid",
        arguments=ChangePolicy,
        call=change,
        permission="operate",
        positional=("release",),
        columns=_ONE,
    ),
    Verb(
        name="release sample",
        group="Release",
        summary="Show rows that both versions answered, the largest differences first",
        arguments=Look,
        call=sample,
        positional=("release",),
        columns=("entity", "champion", "challenger", "difference", "outcome", "picked", "asked"),
    ),
    Verb(
        name="release disagreement",
        group="Release",
        summary="Show where both versions' answers to the same rows differ",
        arguments=Compare,
        call=disagreement,
        positional=("release",),
        columns=("column", "value", "rows", "mean", "mean_absolute", "largest", "decided_otherwise", "correlation"),
    ),
    Verb(
        name="release holdout",
        group="Release",
        summary="Compare units that are held out on the champion with the rest",
        arguments=HeldOut,
        call=holdout,
        positional=("model",),
    ),
    Verb(
        name="release forecast",
        group="Release",
        summary="Forecast when a release by the model's policy could decide",
        arguments=Forecasting,
        call=forecast,
        positional=("model",),
    ),
)
