"""Many plays of one release on one deck."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mainspring.release.rehearsal.deck import Deck
from mainspring.release.rehearsal.moment import Moment
from mainspring.release.rehearsal.play import Ended, Play
from mainspring.release.rehearsal.rival import Rival
from mainspring.release.rehearsal.stage import Script, Stage

SAY_EVERY_PLAYS = 50


def rehearse(
    deck: Deck, script: Script, plays: int, seed: int, say: Callable[[float, str], None] | None = None
) -> list[Ended]:
    """Play a release so many times. The same seed gives the same plays; ``say`` hears how far it is.

    Until a share is drawn all plays are one, so that much is played once, unless errors are injected at random.
    """
    ended = []
    for one in _plays(Stage(deck, script), plays, seed):
        ended.append(one)
        if say is not None and len(ended) % SAY_EVERY_PLAYS == 0:
            say(len(ended) / plays, f"{len(ended)} of {plays} plays")
    return ended


def _plays(stage: Stage, plays: int, seed: int) -> Iterator[Ended]:
    rivals = [Rival(stage, place) for place in range(len(stage.deck.challengers))]
    drawn = np.arange(stage.deck.rows) if stage.by_request else stage.deck.unit
    names, unit = np.unique(drawn, return_inverse=True)
    errors = stage.script.faults.errors
    begin: Moment | None = None
    for number in range(plays):
        random, salt = np.random.default_rng([seed, number]), f"{seed}/{number}"
        place = random.random(len(names))[unit]
        if errors:
            yield Play(stage, rivals, place, random.random(stage.deck.rows) < errors, salt).run()[0]
            continue
        ended, begin = Play(stage, rivals, place, salt=salt).run(begin)
        yield ended
        if begin is None:
            yield from [ended] * (plays - 1)
            return
