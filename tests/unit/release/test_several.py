"""What a bandit says while it waits: why the version that leads is not promoted yet."""

import msgspec
import pytest

from mainspring.release.engine import Contender, Facts, Seen, State, decide
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.losses import loss
from mainspring.release.evidence.stream import Measured
from mainspring.release.outlook import Past, Setting, terms_of
from mainspring.release.policy import Bandit

DAY = 86_400_000_000
POLICY = Bandit(update="1d", window="0s", horizon="28d", minimum_units=500)
TERMS = msgspec.structs.replace(
    terms_of(POLICY, None, Past(DAY, loss("reward", bound=1.0)), Setting("new_recipe", False, 2, 2)), coverage=0.0
)
STATE = State(
    stage="bandit", step=1, share=0.6, shares_us=9 * DAY, acknowledged_us=DAY, generation=1,
    contenders=(Contender("ver_b", 2, 0.3), Contender("ver_c", 3, 0.3)),
)  # fmt: skip
LITTLE, MORE, MUCH = (Earned(900, 900, won, won, 900) for won in (90, 690, 700))


def seen(e_promote: float, smallest_arm: int) -> Evidence:
    quality = Measured(
        "quality", "metric", "drawn", 2_600, -0.1, -0.2, -0.01, 0.0, e_promote, 60.0, 0.0, 1.0, 600.0,
        smallest_arm=smallest_arm,
    )  # fmt: skip
    return Evidence((quality,), 2_600, newest_label_us=9 * DAY)


@pytest.mark.parametrize(
    ("evidence", "champion", "other", "reason", "sentence"),
    [
        (seen(282.0, 342), LITTLE, LITTLE, "few_units",
         "v2 leads, but quality has 342 matured units in its smaller arm where 500 are needed"),
        (seen(12.0, 600), LITTLE, LITTLE, "not_proven", "no version is yet proven to earn more than the champion"),
        (seen(282.0, 600), MUCH, LITTLE, "not_proven", "no version is yet proven to earn more than the champion"),
        (None, LITTLE, LITTLE, "no_evidence", "nothing was measured yet"),
    ],
    ids=["few units", "not proven", "the champion leads", "nothing measured"],
)  # fmt: skip
def test_a_bandit_says_what_the_leading_version_lacks(evidence, champion, other, reason, sentence) -> None:
    best = LITTLE if champion is MUCH else MUCH
    facts = Facts("ver_a", "ver_a", "ver_b", earned=champion, salt="s",
                  seen=(Seen("ver_b", evidence, best), Seen("ver_c", seen(1.0, 600), other)))  # fmt: skip
    decision = decide(TERMS, STATE, None, facts, 9 * DAY + 1)
    assert (decision.kind, decision.reason, decision.sentence) == ("wait", reason, sentence)


def test_a_bandit_that_is_not_sure_of_the_best_says_how_sure_it_is() -> None:
    facts = Facts("ver_a", "ver_a", "ver_b", earned=LITTLE, salt="s",
                  seen=(Seen("ver_b", seen(282.0, 600), MUCH), Seen("ver_c", seen(282.0, 600), MORE)))  # fmt: skip
    decision = decide(TERMS, STATE, None, facts, 9 * DAY + 1)
    assert (decision.kind, decision.reason, decision.waiting) == ("wait", "not_sure_of_best", ("not_sure_of_best",))
    assert decision.sentence.startswith("v2 is the best with a chance of 7")
    assert decision.sentence.endswith("%, of 95% asked")
