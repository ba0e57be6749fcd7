from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mainspring.adapters.home import create_home
from mainspring.kernel.clock import SimulatedClock
from mainspring.platform import Platform, open_platform
from mainspring.registry.service import ModelRow

START = datetime(2024, 1, 1, tzinfo=UTC)

PROJECT = """
import mainspring as ms

orders = ms.Source("orders", "orders.parquet", time="placed", known_at="paid_at", key="order_id")
recent = ms.FeatureView("recent", source=orders, key="shop", features=[ms.share("late", over="3d", name="late_share")])

slow = ms.Model(
    "slow",
    entity="order_id",
    keys=["shop"],
    predict_at="placed",
    inputs=["amount"],
    features=[recent],
    outcome=ms.Outcome("late", source=orders, matures_after="2d", affected_by_answer=False),
    task="binary",
    checks=[ms.checks.metric("roc_auc", at_least=0.55), ms.checks.slices("shop", at_least=0.4, min_rows=50)],
    release=ms.Immediate(),
)


def pipeline(inputs, label, C=1.0):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    shops = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("shop", shops, ["shop"]), ("rest", SimpleImputer(), ["amount", "late_share"])])
    return make_pipeline(columns, LogisticRegression(C=C)).fit(inputs, label)


@slow.trainer
def train(frame, params):
    return pipeline(frame.drop(columns="label"), frame["label"])


@slow.recipe("grouped", split="grouped", group="shop")
def grouped(frame, params):
    return train(frame, params)


@slow.recipe("random", split="random", seed=3)
def random(frame, params):
    return train(frame, params)


@slow.recipe("own_class")
def own_class(frame, params):
    from own import Half

    return Half(train(frame, params))


@slow.recipe("raises")
def raises(frame, params):
    raise KeyError("colour")


@slow.recipe("returns_nothing")
def returns_nothing(frame, params):
    train(frame, params)


@slow.recipe("never_ends", timeout_s=4.0)
def never_ends(frame, params):
    import time

    time.sleep(600)


@slow.recipe("nan")
def nan(frame, params):
    from own import Nan

    return Nan()


@slow.recipe("young", window="1h")
def young(frame, params):
    return train(frame, params)


@slow.recipe("useless", deterministic=True)
def useless(frame, params):
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior").fit(frame.drop(columns="label"), frame["label"])


@slow.recipe("dice", deterministic=True)
def dice(frame, params):
    import os

    return pipeline(frame.drop(columns="label"), frame["label"], C=0.1 + os.urandom(1)[0])


@slow.rule(params={"cut": 60.0})
def by_amount(frame, params):
    return (frame["amount"] > params["cut"]) * 0.8 + 0.1
"""

OWN = """
import numpy as np


class Half:
    def __init__(self, estimator):
        self.estimator = estimator
        self.classes_ = estimator.classes_

    def predict_proba(self, frame):
        return (self.estimator.predict_proba(frame) + 0.5) / 2


class Nan:
    classes_ = (0, 1)

    def predict_proba(self, frame):
        return np.full((len(frame), 2), np.nan)
"""


def orders(days: int = 60, a_day: int = 40) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    count = days * a_day
    amount = rng.uniform(1, 100, count)
    # What makes an order late turns round after 30 days, so that retraining helps.
    turned = np.arange(count) // a_day >= 30
    push = np.where(turned, 60 - amount, amount - 60) / 15
    placed = [START + timedelta(minutes=36 * n) for n in range(count)]
    return pl.DataFrame(
        {
            "order_id": [f"o{n}" for n in range(count)],
            "shop": rng.choice(["north", "south", "west"], count).tolist(),
            "amount": amount,
            "late": rng.random(count) < 1 / (1 + np.exp(-push)),
            "placed": placed,
            "paid_at": [moment + timedelta(hours=5) for moment in placed],
        },
        schema_overrides={"placed": pl.Datetime("us", "UTC"), "paid_at": pl.Datetime("us", "UTC")},
    )


class Shop:
    """A home with one applied project, its clock, and its only model."""

    def __init__(self, folder: Path, platform: Platform, clock: SimulatedClock) -> None:
        self.folder = folder
        self.platform = platform
        self.clock = clock

    @property
    def model(self) -> ModelRow:
        return self.platform.registry.model(None, "slow")

    def ingest(self) -> None:
        found = self.platform.features.ingest(self.model.project, self.clock.now_us())
        self.platform.features.feed(found)

    def champion(self, version: str) -> None:
        with self.platform.store.begin("ann") as tx:
            self.platform.registry.point(tx, self.model.id, "champion", version, "the first one")


def write_project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "project.py").write_text(PROJECT)
    (folder / "own.py").write_text(OWN)
    orders().write_parquet(folder / "orders.parquet")
    return folder


def open_shop(folder: Path, project: Path) -> Shop:
    home = create_home(folder, simulated_from=START + timedelta(days=30))
    clock = SimulatedClock(folder / "clock", writable=True)
    shop = Shop(folder, open_platform(home), clock)
    shop.platform.projects.apply(project, by="ann")
    shop.ingest()
    return shop


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("shop") / "project")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[Shop]:
    made = open_shop(tmp_path_factory.mktemp("home") / "home", project)
    with closing(made.platform):
        yield made
