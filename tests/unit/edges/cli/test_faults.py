import stat

import pytest

from mainspring.edges.cli import faults


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_without_a_home_the_log_is_the_users_alone(place):
    sentence = faults.told(ValueError("what\ud800"), ["apply"], None)
    (log,) = place.glob("mainspring-*.log")
    assert str(log) in sentence
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "ValueError" in log.read_text()


def test_a_link_in_the_place_of_a_homes_log_is_not_written_through(place, tmp_path):
    (tmp_path / "home" / "run").mkdir(parents=True)
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "home" / "run" / "cli.log").symlink_to(tmp_path / "precious")
    faults.told(ValueError("what"), ["apply"], tmp_path / "home")
    assert (tmp_path / "precious").read_text() == "kept"
    assert len(list(place.glob("mainspring-*.log"))) == 1
