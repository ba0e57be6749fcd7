"""Who takes part in a rehearsal."""

from __future__ import annotations

import msgspec

from mainspring.registry.service import ModelRow
from mainspring.registry.version import Version


class Cast(msgspec.Struct, frozen=True):
    """A model, its champion, the challengers in the order in which they were named, and an anchor where one holds."""

    model: ModelRow
    champion: Version
    challengers: tuple[Version, ...]
    anchor: Version | None

    @property
    def versions(self) -> tuple[Version, ...]:
        return (self.champion, *self.challengers, *([self.anchor] if self.anchor else []))

    @property
    def trained_until_us(self) -> int:
        """The moment from which no version has seen what came true."""
        return max(one.lineage.trained_until_us or 0 for one in self.versions)
