from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from mainspring.kernel.errors import Conflict, InvalidInput, NotFound, WorkerFailed
from mainspring.ledger.queries import entries

from .conftest import START, Shop, open_shop


def test_a_trained_version_is_a_proven_graph_with_its_lineage(shop: Shop) -> None:
    said: list[str] = []
    run = shop.platform.training.train(
        shop.model.id, by="ann", reason="the first one", on_progress=lambda share, words: said.append(words)
    )

    assert run.version is not None
    version = shop.platform.registry.version(run.version)
    assert version.runtime == "onnx"
    assert version.parity is not None
    assert version.parity.equal
    assert version.plain_graph
    assert [column.name for column in version.signature.inputs] == ["shop", "amount", "late_share"]
    assert version.signature.features == {"late_share": "recent.late_share"}
    assert [column.name for column in version.signature.requested] == ["order_id", "shop", "amount"]
    assert sorted(version.files) == ["model.onnx", "packed.onnx", "packing.json"]
    assert version.parity.build == "packed"
    assert version.lineage.recipe == "default"
    assert set(version.lineage.snapshots) == {"frame", "held_out", "source:orders"}
    assert "scikit-learn" in version.environment.packages
    assert (version.metrics["roc_auc"] or 0) > 0.8
    assert said[0] == "building the training frame"
    assert said[-1] == "made"


def test_nothing_is_run_again_when_nothing_has_changed(shop: Shop) -> None:
    first = shop.platform.training.train(shop.model.id, by="ann")
    again = shop.platform.training.train(shop.model.id, by="ann")

    assert again.reused
    assert again.version == first.version


def test_the_same_inputs_give_the_same_model_digest_in_another_home(shop: Shop, project: Path, tmp_path: Path) -> None:
    here = shop.platform.training.train(shop.model.id, by="ann")
    with closing((other := open_shop(tmp_path / "home", project)).platform) as platform:
        there = platform.training.train(other.model.id, by="ben")
        assert there.version is not None
        theirs = platform.registry.version(there.version)
    assert here.version is not None
    ours = shop.platform.registry.version(here.version)

    assert ours.id != theirs.id
    assert ours.files == theirs.files
    assert ours.digest == theirs.digest
    assert ours.lineage.snapshots["frame"] == theirs.lineage.snapshots["frame"]
    assert ours.lineage.snapshots["held_out"] == theirs.lineage.snapshots["held_out"]


def test_held_out_rows_come_after_every_outcome_that_was_fitted_on(shop: Shop) -> None:
    run = shop.platform.training.train(shop.model.id, by="ann")
    assert run.version is not None
    blob = shop.platform.registry.version(run.version).lineage.snapshots["held_out"]
    held_out = pl.read_parquet(shop.platform.blobs.get(blob))

    assert run.numbers["rows"] == {"all": 1192, "dropped": 8, "fitted": 946, "held_out": 238}
    assert held_out.height == 238
    assert held_out.columns[:7] == [
        "entity", "at_us", "known_us", "label", "score", "champion_score", "champion_seen",
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", ["random", "grouped"])
def test_other_splits_are_made_on_request(shop: Shop, recipe: str) -> None:
    run = shop.platform.training.train(shop.model.id, recipe, by="ann")

    rows = run.numbers["rows"]
    assert rows["dropped"] == 0
    assert rows["fitted"] + rows["held_out"] == rows["all"] == 1192
    assert rows["held_out"] == {"random": 238}.get(recipe, rows["held_out"])


def test_an_estimator_of_ones_own_class_is_pickled_with_the_projects_code(shop: Shop) -> None:
    run = shop.platform.training.train(shop.model.id, "own_class", by="ann")

    assert run.version is not None
    version = shop.platform.registry.version(run.version)
    assert version.runtime == "python"
    assert sorted(version.files) == ["code/own.py", "code/project.py", "model.pkl"]
    assert version.parity is not None
    assert version.parity.reason.startswith("text reaches the last step")


def test_a_rule_is_a_version_too(shop: Shop) -> None:
    run = shop.platform.training.train(shop.model.id, "rule", by="ann")

    assert run.version is not None
    version = shop.platform.registry.version(run.version)
    assert version.runtime == "rule"
    assert "rule.json" in version.files
    assert version.lineage.trained_until_us is None
    assert (version.metrics["roc_auc"] or 0) > 0.7


@pytest.mark.parametrize(
    ("recipe", "error", "words"),
    [
        ("raises", WorkerFailed, r"slow\.raises: the trainer raised KeyError at project\.py:\d+: 'colour'"),
        ("returns_nothing", WorkerFailed, r"slow\.returns_nothing: must return a fitted estimator with predict_proba"),
        ("never_ends", WorkerFailed, r"train: did not end within 4 s and was stopped"),
        ("nan", WorkerFailed, r"slow\.nan: gave 238 answers that are not finite"),
        ("dice", WorkerFailed, r"slow\.dice: is declared deterministic and gave two models"),
        ("young", InvalidInput, r"slow\.young\.window: .*"),
        ("absent", NotFound, r"recipe: there is no such recipe"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_leaves_no_version(
    shop: Shop, recipe: str, error: type[Exception], words: str
) -> None:
    before = shop.platform.registry.versions(shop.model.id)

    with pytest.raises(error, match=words):
        shop.platform.training.train(shop.model.id, recipe, by="ann")

    assert shop.platform.registry.versions(shop.model.id) == before
    assert list((shop.folder / "staging").iterdir()) == []


def test_a_failed_run_is_in_the_ledger_with_its_error(shop: Shop) -> None:
    with pytest.raises(WorkerFailed):
        shop.platform.training.train(shop.model.id, "raises", by="ann", reason="tried")

    with shop.platform.store.read() as connection:
        newest = entries(connection, kind="run.failed", newest_first=True, limit=1)[0]
    assert newest.actor == "ann"
    assert newest.numbers["recipe"] == "raises"
    assert newest.numbers["code"] == "worker_failed"


def test_a_check_that_fails_blocks_until_a_named_person_overrides_it(shop: Shop) -> None:
    run = shop.platform.training.train(shop.model.id, "useless", by="ann")
    assert run.version is not None
    assert not shop.platform.checks.passed(run.version)

    said = {result.name: result for result in shop.platform.checks.run(run.version, by="ann")}

    assert said["metric:roc_auc"].status == "failed"
    assert said["metric:roc_auc"].numbers["value"] == 0.5
    assert said["schema"].status == "passed"
    assert not shop.platform.checks.passed(run.version)
    with pytest.raises(Conflict, match="did not fail"):
        shop.platform.checks.override(run.version, "schema", by="ben", reason="no")
    shop.platform.checks.override(run.version, "metric:roc_auc", by="ben", reason="the demo needs a bad one")
    assert shop.platform.checks.passed(run.version)
    with shop.platform.store.read() as connection:
        entry = entries(connection, kind="check.overridden")[0]
    assert (entry.actor, entry.reason) == ("ben", "the demo needs a bad one")


def test_an_onnx_file_made_elsewhere_becomes_a_version(shop: Shop, tmp_path: Path) -> None:
    run = shop.platform.training.train(shop.model.id, by="ann")
    assert run.version is not None
    made = shop.platform.registry.version(run.version)
    file = tmp_path / "late.onnx"
    file.write_bytes(shop.platform.blobs.get(made.files["model.onnx"]))

    taken = shop.platform.intake.register_graph(shop.model.id, file, by="ann", reason="made in the lab")

    assert taken.files == {"model.onnx": made.files["model.onnx"]}  # it has no estimator to be proven against
    assert taken.signature == made.signature
    assert taken.views == made.views
    assert taken.plain_graph
    said = {result.name: result for result in shop.platform.checks.run(taken.id, by="ann")}
    held_out = shop.platform.blobs.get(taken.lineage.snapshots["held_out"])
    assert said["metric:roc_auc"].status == "passed"
    assert said["metric:roc_auc"].numbers["value"] == taken.metrics["roc_auc"]
    assert said["metric:roc_auc"].numbers["rows"] == pl.read_parquet(held_out).height > 100


def test_a_file_that_is_no_graph_is_refused(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "late.onnx"
    file.write_bytes(b"not a graph")

    with pytest.raises(InvalidInput, match="file: cannot be loaded"):
        shop.platform.intake.register_graph(shop.model.id, file, by="ann", reason="made in the lab")


def test_a_backtest_says_whether_retraining_would_have_helped(project: Path, tmp_path: Path) -> None:
    with closing((shop := open_shop(tmp_path / "home", project)).platform) as platform:
        with pytest.raises(Conflict, match="has no champion to compare with"):
            platform.backtests.run(shop.model.id, by="ann")
        first = platform.training.train(shop.model.id, by="ann")
        assert first.version is not None
        shop.champion(first.version)
        shop.clock.advance(START + timedelta(days=58))
        shop.ingest()

        found = platform.backtests.run(shop.model.id, origins=3, by="ann")
        second = platform.training.train(shop.model.id, by="ann")
        assert second.version is not None
        checked = {result.name: result for result in platform.checks.run(second.version, by="ann")}

    assert found.verdict == "helps"
    assert found.high is not None
    assert found.high < 0
    assert [origin.rows > 100 for origin in found.origins] == [True, True, True]
    assert all((origin.retrained_loss or 9) < (origin.champion_loss or 0) for origin in found.origins[1:])
    assert second.numbers["champion"] == {"number": 1}
    assert checked["too_good_to_be_true"].numbers["jump"] is not None
    assert checked["too_good_to_be_true"].severity == "warn"
