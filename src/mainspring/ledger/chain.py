"""The chain: each entry's hash covers the entry and the hash before it, so a change anywhere shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from mainspring.kernel.ids import canonical_json, digest

GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done: by whom, to what, why, on which numbers. ``subject`` is the id of what changed."""

    seq: int
    at_us: int
    actor: str
    kind: str
    project: str
    subject: str
    reason: str
    numbers: dict[str, Any]
    previous: str
    hash: str


class Verdict(msgspec.Struct, frozen=True):
    """What ``verify`` found. ``broken_at`` is the first entry that is not as it was written."""

    entries: int
    verified: bool
    head: str
    broken_at: int | None = None
    reason: str = ""


def entry_hash(entry: Entry) -> str:
    """Return the hash that an entry must carry: SHA-256 over the hash before it and its canonical JSON."""
    body = msgspec.to_builtins(entry)
    del body["hash"]
    return digest(canonical_json(body))


def verify(entries: Iterable[Entry], *, head: str | None = None) -> Verdict:
    """Check a chain from its first entry; ``head`` is an exported hash that must occur in it, so a cut tail shows."""
    previous, count, head_seen = GENESIS, 0, head is None or head == GENESIS
    for entry in entries:
        fault = _fault(entry, previous, count + 1)
        if fault:
            return Verdict(count, False, previous, count + 1, fault)
        previous, count = entry.hash, count + 1
        head_seen = head_seen or entry.hash == head
    if not head_seen:
        return Verdict(count, False, previous, count + 1, "the known head is missing: entries at the end were dropped")
    return Verdict(count, True, previous)


def _fault(entry: Entry, previous: str, expected_seq: int) -> str:
    if entry.seq != expected_seq:
        return f"entry {expected_seq} is missing (found {entry.seq})"
    if entry.previous != previous:
        return "it does not follow the entry before it"
    if entry_hash(entry) != entry.hash:
        return "its content is not what was written"
    return ""
