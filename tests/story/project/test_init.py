"""A project made by init runs at once: applied, read, trained, and its own tests pass."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from mainspring.project.template import write_template
from mainspring.training.ordering import Ordering
from mainspring.training.service import TrainingService


@pytest.mark.parametrize(("kind", "recipe"), [("binary", "default"), ("regression", "rule"), ("multiclass", "default")])
def test_a_new_project_is_applied_read_and_trained(place, tmp_path, kind, recipe):
    place.clock.advance(datetime.now(UTC))
    files = write_template(tmp_path / "post", "post", kind)
    assert files == [
        "README.md",
        "conftest.py",
        "data/parcels.csv",
        "make_data.py",
        "project.py",
        "requirements.txt",
        "tests/test_project.py",
    ]
    applied = place.projects.apply(tmp_path / "post", by="ada")
    assert (applied.project, applied.warnings) == ("post", ())
    model = place.registry.model("post", "parcels")
    place.features.feed(place.features.ingest(model.project, place.clock.now_us()))
    training = TrainingService(
        store=place.store,
        registry=place.registry,
        features=place.features,
        ordering=Ordering(
            registry=place.registry,
            features=place.features,
            blobs=place.blobs,
            folders=place.folders,
            root_of=place.projects.root_of,
        ),
        log=place.log,
        blobs=place.blobs,
        jobs=place.jobs,
        clock=place.clock,
    )
    run = training.train(model.id, recipe, by="ada", reason="the first version")
    assert run.number == 1
    if kind == "binary":
        assert run.numbers["metrics"]["roc_auc"] > 0.8
    elif kind == "regression":
        assert run.numbers["metrics"]["mae"] < 12.0
    else:
        assert run.numbers["metrics"]["accuracy"] > 0.6
        version = place.registry.by_number(model.id, 1)
        assert (version.runtime, version.signature.classes) == ("onnx", ("one_day", "two_days", "later"))


@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
def test_the_projects_own_tests_pass(tmp_path, kind):
    write_template(tmp_path / "post", "post", kind)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=tmp_path / "post", capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
