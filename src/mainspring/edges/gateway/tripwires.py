"""The tripwires of this worker: a challenger that fails grossly is taken out here, at once, without asking anyone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from mainspring.edges.gateway.hearsay import Tallies, Tally, tally
from mainspring.serving.routing import ReleaseRoute
from mainspring.serving.tripwire import Tripwire


class Tripwires:
    """One tripwire a challenger, kept across snapshots. ``disabled`` is ``{version: reason}``.

    Of ``workers`` that share a port each meets a part of the requests, and hears of the others'. All of them look, so
    each needs as many times more evidence.
    """

    def __init__(self, tell: Callable[[], None], workers: int = 1) -> None:
        self._tell = tell
        self._workers = workers
        self._heard: dict[str, dict[str, Tally]] = {}
        self._wires: dict[str, dict[str, Tripwire]] = {}
        self.disabled: dict[str, str] = {}

    def tripped(self, release: ReleaseRoute | None) -> bool:
        """Return whether every challenger of the release was taken out."""
        if release is None or not self.disabled:
            return False
        return all(version in self.disabled for version in release.challengers)

    def stable_answered(self, release: ReleaseRoute, failed: bool) -> None:
        """Count an answer of the stable version beside a running release."""
        for wire in self._of(release).values():
            wire.stable_answered(failed, time.monotonic())

    def challenger_answered(self, release: ReleaseRoute, version: str, failed: bool, fault: str) -> None:
        """Count an answer of a challenger, and take it out if that was one failure too many."""
        wire = self._of(release)[version]
        if wire.challenger_answered(failed, time.monotonic()):
            self._take_out(version, wire, f", the last one: {fault}" if fault else "")

    def tallies(self) -> Tallies:
        """Return what this worker has come to with each challenger by itself."""
        return {
            release: {version: tally(wire, self._heard_of(release, version)) for version, wire in wires.items()}
            for release, wires in self._wires.items()
        }

    def hear(self, news: Tallies) -> None:
        """Count what another worker has come to."""
        for release, versions in news.items():
            for version, one in versions.items():
                wire = self._wires.get(release, {}).get(version)
                if wire is None or not one.requests:
                    continue
                before = self._heard_of(release, version)
                self._heard.setdefault(release, {})[version] = Tally(
                    0.0, before.failures + one.failures, before.requests + one.requests
                )
                if wire.heard(one.evidence, one.failures, one.requests):
                    self._take_out(version, wire, ", some of them at another worker")

    def _heard_of(self, release: str, version: str) -> Tally:
        return self._heard.get(release, {}).get(version, Tally())

    def _take_out(self, version: str, wire: Tripwire, more: str) -> None:
        if version not in self.disabled:
            reason = f"{wire.failures} of {wire.requests} requests failed{more}"
            self.disabled = {**self.disabled, version: reason}  # a new one: requests under way keep what they drew by
            self._tell()

    def follow(self, disabled: Mapping[str, str]) -> None:
        """Take out what another worker has taken out: together they answer for one release, and each sees a part."""
        fresh = {version: reason for version, reason in disabled.items() if version not in self.disabled}
        if fresh:
            self.disabled = {**self.disabled, **fresh}
            self._tell()

    def keep(self, releases: Sequence[ReleaseRoute], versions: set[str]) -> None:
        """Hold a wire for each challenger, and forget releases and versions that the routing no longer names."""
        ids = {release.id for release in releases}
        self._wires = {id: wire for id, wire in self._wires.items() if id in ids}
        self._heard = {id: heard for id, heard in self._heard.items() if id in ids}
        for release in releases:
            self._of(release)
        self.disabled = {id: reason for id, reason in self.disabled.items() if id in versions}

    def _of(self, release: ReleaseRoute) -> dict[str, Tripwire]:
        wires = self._wires.get(release.id)
        if wires is not None and len(wires) == 1 + len(release.others):
            return wires
        wires = self._wires.setdefault(release.id, {})
        for version in release.challengers:
            if version not in wires:
                wires[version] = Tripwire(self._workers * release.planned_requests)
        return wires
