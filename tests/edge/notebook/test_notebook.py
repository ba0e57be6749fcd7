"""Level 0: a fitted estimator and some rows are enough for a served model."""

from contextlib import closing

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mainspring as ms
from mainspring.adapters.home import Home
from mainspring.edges.person import local_user
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.ledger.queries import entries
from mainspring.platform import open_platform
from mainspring.release.approvers import Approvers
from mainspring.release.policy import Approval, Immediate


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"distance": rng.uniform(50, 900, 400), "hour": rng.integers(0, 24, 400).astype(float)})


@pytest.fixture(scope="module")
def classifier(sample):
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(sample, sample["distance"] > 500)


def test_the_first_version_answers_at_once_and_later_ones_wait(tmp_path, sample, classifier):
    first = ms.register(classifier, sample, name="late", home=tmp_path / "home", by="ada")
    assert (first.model, first.number, first.runtime, first.champion) == ("late", 1, "onnx", True)
    assert first.largest_difference is not None
    assert first.largest_difference < 1e-5
    second = ms.register(classifier, pl.from_pandas(sample), name="late", home=tmp_path / "home", by="ada")
    assert (second.number, second.champion) == (2, False)
    with closing(open_platform(Home(tmp_path / "home"))) as platform:
        model = platform.registry.model(None, "late")
        assert (model.project_name, model.spec) == ("notebook", None)
        champion = platform.registry.alias(model.id, "champion")
        assert champion.number == 1
        assert [column.name for column in champion.signature.requested] == ["distance", "hour"]
        assert platform.routing.read().models[0].champion == champion.id


def test_an_estimator_without_probabilities_is_a_regression(tmp_path, sample):
    made = LinearRegression().fit(sample, 2.0 * sample["distance"])
    registered = ms.register(made, sample, name="cost", home=tmp_path / "home", by="ada")
    assert registered.champion
    with closing(open_platform(Home(tmp_path / "home"))) as platform:
        model = platform.registry.model(None, "cost")
        assert platform.registry.alias(model.id, "champion").signature.task == "regression"


def test_an_estimator_of_three_classes_answers_with_all_of_them(tmp_path, sample):
    far = np.digitize(sample["distance"], [300, 600])
    made = make_pipeline(StandardScaler(), LogisticRegression()).fit(sample, far)
    registered = ms.register(made, sample, name="far", home=tmp_path / "home", by="ada")
    assert (registered.runtime, registered.champion) == ("onnx", True)
    assert registered.largest_difference < 1e-5
    with closing(open_platform(Home(tmp_path / "home"))) as platform:
        model = platform.registry.model(None, "far")
        signature = platform.registry.alias(model.id, "champion").signature
        assert (signature.task, signature.classes) == ("multiclass", (0, 1, 2))
        assert platform.routing.read().models[0].outcome_kind == "class"
    with pytest.raises(InvalidInput, match="cuts one probability in two"):
        ms.register(made, sample, name="far", threshold=0.5, home=tmp_path / "home", by="ada")


def test_what_is_no_estimator_is_refused(tmp_path, sample):
    with pytest.raises(InvalidInput, match="give a fitted scikit-learn estimator"):
        ms.register(object(), sample, home=tmp_path / "home", by="ada")


def test_a_sample_that_is_no_frame_is_refused(tmp_path, classifier):
    with pytest.raises(InvalidInput, match="pandas or Polars DataFrame"):
        ms.register(classifier, [[1.0, 2.0]], home=tmp_path / "home", by="ada")


def test_a_column_of_times_is_refused_by_name(tmp_path, sample, classifier):
    timed = sample.assign(at=pd.Timestamp("2026-01-01", tz="UTC"))
    with pytest.raises(InvalidInput, match=r"sample\.at"):
        ms.register(classifier, timed, home=tmp_path / "home", by="ada")


def test_whoever_registers_is_the_user_of_the_system_whatever_the_notebook_says(
    tmp_path, sample, classifier, monkeypatch
):
    monkeypatch.setenv("LOGNAME", "dora")
    ms.register(classifier, sample, name="late", home=tmp_path / "home", by="dora (key_1)")
    known = f"dora (key_1), said by {local_user()} (user)"
    with closing(open_platform(Home(tmp_path / "home"))) as platform:
        with platform.store.read() as connection:
            actors = {one.actor for one in entries(connection, kind="version")}
        assert actors == {known}
        (model,) = platform.registry.models()
        platform.releases.set_policy(model.id, Immediate(approval=Approval()), by=known, reason="a person signs")
        platform.releases.approvers.check(Approval(), known)
        platform.releases.approvers = Approvers({"risk": ["dora", "key:dora"]}, platform.keys.standing)
        with pytest.raises(Refused, match="has not the role risk"):
            platform.releases.approvers.check(Approval(role="risk"), known)
