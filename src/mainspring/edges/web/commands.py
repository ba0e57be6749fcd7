"""What a person can order from a page: the same verbs as on the command line, each with its reason and its actor."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.edges.verbs import find


class Order(msgspec.Struct, frozen=True):
    """One button: the verb behind it, and what the command line would say; ``takes`` are its arguments, if not all."""

    label: str
    path: str
    summary: str
    command: str
    stops: bool = False
    takes: tuple[str, ...] = ()


_RUNNING = ("hold", "promote", "rollback", "abort")
_HELD = ("resume", "promote", "rollback", "abort")
_LABELS = {"rollback": "roll back"}
_STOPS = frozenset({"rollback", "abort"})


def orders_for(release: Any, *, champion: bool) -> tuple[Order, ...]:
    """Return what may be ordered of a release now; ``champion`` says whether its challenger is the champion."""
    if not release.over:
        words = list(_HELD if release.status == "held" else _RUNNING)
        if release.decision is not None and "approval" in release.decision.waiting:
            words.insert(0, "approve")
        unsigned = release.terms.approval is not None and release.approved is None
        if unsigned or any(one.status == "running" for one in release.contenders):
            words.remove("promote")  # refused before somebody signed it off, and while it is open whom it would promote
    else:
        words = ["rollback"] if release.status == "promoted" and champion else []
    return tuple(_order(word, release.id) for word in words)


def _order(word: str, release: str) -> Order:
    verb = find(f"release {word}")
    command = f'mainspring {verb.name} {release} --reason "…"'
    return Order(_LABELS.get(word, word), verb.path, verb.summary, command, word in _STOPS)


def change_order(release: str) -> Order:
    """Return the order that lets a running release go on by another policy."""
    verb = find("release change")
    command = f'mainspring {verb.name} {release} --policy FILE --reason "…"'
    return Order("change", verb.path, verb.summary, command)


def acknowledge_order(alarm: str) -> Order:
    """Return the order that says that an alarm was seen."""
    verb = find("acknowledge")
    return Order("acknowledge", verb.path, verb.summary, f'mainspring {verb.name} {alarm} --reason "…"')


def start_orders(model: str) -> tuple[Order, ...]:
    """Return the orders of a model's page: start a release, rehearse it, set its policy for all to come."""
    start, keep, play = find("release start"), find("policy set"), find("rehearse")
    said, saves, plays = (f"mainspring {verb.name} {model}" for verb in (start, keep, play))
    return (
        Order(
            "start",
            start.path,
            start.summary,
            f'{said} VERSION --policy FILE --reason "…"',
            takes=("model", "version", "policy", "reason"),
        ),
        Order(
            "rehearse",
            play.path,
            play.summary,
            f"{plays} --challenger VERSION --policy FILE --inject errors=5%",
            takes=("model", "challenger", "policy", "inject", "reason"),
        ),
        Order(
            "set as its policy",
            keep.path,
            keep.summary,
            f'{saves} FILE --reason "…"',
            takes=("model", "policy", "reason"),
        ),
    )
