"""The Open Bandit logs as a bug check: the value of a uniform policy, from the logs of another one.

The logs are in the wheel of ``obp`` 0.4.1, which is unzipped and never imported: ``pip download --no-deps obp==0.4.1``.
They hold 38 to 69 clicks a file, so this finds a wrong sign or a wrong weight and nothing finer.
"""

import csv
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mainspring.kernel.errors import Refused
from mainspring.release.offpolicy.value import Draws, value, weights

CACHE = Path(os.environ.get("MAINSPRING_DOWNLOADS") or Path.home() / ".cache" / "mainspring-tests")
WHEEL = "obp-0.4.1-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    if not (CACHE / WHEEL).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        order = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=1", "--timeout=10",
                 "--dest", CACHE, "obp==0.4.1"]  # fmt: skip
        done = subprocess.run(order, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            pytest.skip(f"get it with: pip download --no-deps --dest {CACHE} obp==0.4.1")
    return zipfile.ZipFile(CACHE / WHEEL)


def rows(wheel: zipfile.ZipFile, policy: str, campaign: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (item, propensity, click) of one file."""
    name = next(one for one in wheel.namelist() if one.endswith(f"obd/{policy}/{campaign}/{campaign}.csv"))
    with wheel.open(name) as file:
        found = list(csv.DictReader(io.TextIOWrapper(file)))
    column = {key: np.array([float(row[key]) for row in found]) for key in ("item_id", "propensity_score", "click")}
    return column["item_id"].astype(np.int64), column["propensity_score"], column["click"]


def draws(found: tuple[np.ndarray, np.ndarray, np.ndarray], items: int) -> Draws:
    """Return draws among all items; of those that were not shown, an item's mean logged propensity stands in."""
    item, propensity, click = found
    usual = np.bincount(item, weights=propensity, minlength=items) / np.maximum(np.bincount(item, minlength=items), 1)
    offered = np.tile(np.where(usual > 0, usual, 1.0 / items), (len(item), 1))
    offered[np.arange(len(item)), item] = propensity
    return Draws(item, offered, click)


@pytest.mark.parametrize("campaign", ["men", "all"])
def test_where_items_were_shown_at_random_both_policies_are_worth_what_they_really_earned(wheel, campaign) -> None:
    item, propensity, click = rows(wheel, "random", campaign)
    shown, _, earned = rows(wheel, "bts", campaign)
    items = int(item.max()) + 1
    assert len(click) == 10_000
    assert propensity == pytest.approx(np.full(len(propensity), 1.0 / items), rel=0.02)
    one = draws((item, propensity, click), items)
    own = value(one, one.offered, 0.0, 1.0)
    assert own.self_normalised == pytest.approx(click.mean())
    assert own.low <= click.mean() <= own.high
    shares = np.bincount(shown, minlength=items) / len(shown)
    other = value(one, np.tile(shares, (len(item), 1)), 0.0, 1.0)
    assert other.weight_mean == pytest.approx(1.0, abs=0.1)
    assert other.low <= earned.mean() <= other.high


@pytest.mark.parametrize("campaign", ["men", "all"])
def test_from_thompson_samplings_log_a_uniform_policy_is_refused_for_its_weights_and_found_without_them(
    wheel, campaign
) -> None:
    item, _, click = rows(wheel, "random", campaign)
    items = int(item.max()) + 1
    one = draws(rows(wheel, "bts", campaign), items)
    uniform = np.full((len(one.arm), items), 1.0 / items)
    with pytest.raises(Refused, match="may count"):
        value(one, uniform, 0.0, 1.0)
    weight = weights(one, uniform)
    keep = weight <= 50.0
    weight, reward = weight[keep], one.reward[keep]
    normalised = float((weight * reward).sum() / weight.sum())
    error = float(np.sqrt(np.square(weight * (reward - normalised)).sum()) / weight.sum())
    assert abs(normalised - click.mean()) < 4.0 * np.hypot(error, click.std() / 100.0)
