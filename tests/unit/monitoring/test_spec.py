from datetime import timedelta

import msgspec
import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.monitoring.spec import Drift, Health, Quality, Silence, decode_monitors, kind_of, parse_budget


def test_monitors_survive_being_stored() -> None:
    monitors = (Drift(budget="1 per 30d", features=("dest",)), Quality("brier"), Health(slow_ms=100), Silence(weeks=2))
    assert decode_monitors(msgspec.json.encode(monitors)) == monitors
    assert [kind_of(monitor) for monitor in monitors] == ["drift", "quality", "health", "silence"]


def test_a_budget_counts_windows() -> None:
    assert parse_budget("3 per 90d") == timedelta(days=30)
    assert Drift(budget="1 per 90d", window="12h", reference="14d", season="7d").budget_windows == 180
    assert Drift(window="1d", season="7d").season_windows == 7
    assert Drift(season=None).season_windows == 1


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Drift(budget="often"), "budget"),
        (lambda: Drift(budget="0 per 90d"), "budget"),
        (lambda: Drift(reference="2d"), "reference"),
        (lambda: Drift(season="6h"), "season"),
        (lambda: Drift(effect_floor=-1), "effect_floor"),
        (lambda: Drift(rows_at_least=1), "rows_at_least"),
        (lambda: Quality("roc_auc"), "metric"),  # type: ignore[arg-type]
        (lambda: Quality(margin=-0.1), "margin"),
        (lambda: Quality(margin=float("nan")), "margin"),
        (lambda: Quality(window="a day"), "window"),
        (lambda: Health(failed_share=0), "failed_share"),
        (lambda: Health(lag_s=0), "lag_s"),
        (lambda: Silence(weeks=0), "weeks"),
    ],
)
def test_a_wrong_monitor_is_refused_with_its_field(make: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()  # type: ignore[operator]
    assert caught.value.field == field


def test_an_unknown_key_of_a_stored_monitor_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="windw"):
        decode_monitors('[{"type": "drift", "windw": "1d"}]')
