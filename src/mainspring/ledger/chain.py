"""The chain: each entry's hash covers the entry and the hash before it, so a change anywhere shows.

The hash is keyed (HMAC-SHA-256, RFC 2104) with a key that stands in the home and not in the metadata store: whoever can
write to the store alone cannot write a chain that verifies. Whoever has both can; a head that was exported to somewhere
else then shows it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any, Literal

import msgspec

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.ids import canonical_json

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


class Head(msgspec.Struct, frozen=True):
    """The last entry of a ledger at some moment, to be kept elsewhere; written ``seq:hash``."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def parse_head(text: str) -> Head:
    """Return the head that is written as ``seq:hash``.

    >>> parse_head("3:" + "a" * 64).seq
    3
    """
    seq, _, hash = text.strip().partition(":")
    if not seq.isdecimal() or len(hash) != len(GENESIS) or set(hash) - set("0123456789abcdef"):
        remedy = "give what mainspring ledger head printed, such as 12:3f…"
        raise InvalidInput("is not a head", field="head", value=text, remedy=remedy)
    return Head(int(seq), hash)


Fault = Literal["altered", "dropped", "added"]


class Verdict(msgspec.Struct, frozen=True):
    """What ``verify`` found. ``fault`` is what was done to entry ``broken_at``, the first that is not as written."""

    entries: int
    verified: bool
    head: str
    broken_at: int | None = None
    fault: Fault | None = None
    reason: str = ""


def entry_hash(entry: Entry, key: bytes = b"") -> str:
    """Return the hash that an entry must carry: HMAC over its canonical JSON, the hash before it included."""
    body = msgspec.to_builtins(entry)
    del body["hash"]
    return hmac.new(key, canonical_json(body), hashlib.sha256).hexdigest()


def verify(entries: Iterable[Entry], key: bytes = b"", *, heads: Iterable[Head] = ()) -> Verdict:
    """Check a chain from its first entry to its last; each exported head must occur in it, so a cut tail shows."""
    previous, count, known = GENESIS, 0, {head.seq: head.hash for head in heads if head.seq}
    for entry, following in pairwise(chain(entries, (None,))):
        if entry is None:
            break
        found = _fault(entry, following, previous, count + 1, key)
        if found is None and known.get(entry.seq, entry.hash) != entry.hash:
            found = "altered", "it is not the one that an exported head names: it and all before it were written anew"
        if found is not None:
            return Verdict(count, False, str(Head(count, previous)), count + 1, *found)
        previous, count = entry.hash, count + 1
    last = max(known, default=0)
    if last > count:
        what = f"entries {count + 1} to {last} are missing: an exported head names entry {last}"
        return Verdict(count, False, str(Head(count, previous)), count + 1, "dropped", what)
    return Verdict(count, True, str(Head(count, previous)))


def _fault(entry: Entry, following: Entry | None, previous: str, expected: int, key: bytes) -> tuple[Fault, str] | None:
    if entry.seq > expected:
        return "dropped", f"it is missing; what follows is entry {entry.seq}"
    genuine = hmac.compare_digest(entry_hash(entry, key), entry.hash)
    if genuine and entry.previous == previous:
        return None
    if not genuine and following is not None and following.previous == previous:
        return "added", "it was put in later: the entry after it follows the one before it"
    if not genuine:
        return "altered", "its content is not what was written"
    return "altered", "it does not follow the entry before it, which was written anew"
