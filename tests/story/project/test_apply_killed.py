"""Killed at any of its moments, apply leaves the old revision or the new one, and applying again completes it."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Place
place = Place(Path({home!r}))
place.projects.apply(Path({project!r}), by="ada")
"""


@pytest.mark.parametrize("moment", ["project.after_files", "project.before_commit", "store.after_commit"])
def test_apply_survives_being_killed(tmp_path, trips, moment):
    from mainspring.ledger import queries

    home = tmp_path / "killed"
    script = SCRIPT.format(tests=os.path.dirname(__file__), home=str(home), project=str(trips))
    environment = {**os.environ, "MAINSPRING_CRASH_AT": moment}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=120, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    place = reopened(home)
    applied = place.projects.apply(trips, by="ada")
    assert applied.changed == (moment != "store.after_commit")
    with place.store.read() as connection:
        assert [entry.kind for entry in queries.entries(connection)] == ["project.applied"]
        assert queries.verify_chain(connection).verified
    assert len(place.projects.revisions("trips")) == 1
    place.close()


def reopened(home):
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location("project_conftest", Path(__file__).with_name("conftest.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Place(home)
