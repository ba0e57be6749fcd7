import numpy as np
import pytest

from mainspring.release.rehearsal.wire import Wire
from mainspring.serving.tripwire import Tripwire


@pytest.mark.parametrize("failing", [0.0, 0.02, 0.3, 1.0])
def test_many_requests_at_once_trip_it_where_one_after_another_would(failing: float) -> None:
    random = np.random.default_rng(3)
    failed = random.random(3_000) < failing
    at_us = np.arange(3_000) * 1_000_000
    one = Tripwire(20_000)
    tripped = [int(moment) for moment, bad in zip(at_us, failed, strict=True) if one.challenger_answered(bool(bad), 0)]
    share = np.full(3_000, 0.01)
    half = Wire().after(at_us[:7], failed[:7], share[:7], 20_000)
    assert half.after(at_us[7:], failed[7:], share[7:], 20_000).tripped_us == (tripped[0] if tripped else None)
