"""Settings of a home: where each value comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainspring.adapters.settings import read_settings
from mainspring.kernel.errors import InvalidInput


def test_a_limit_comes_from_the_file_or_from_the_environment_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[limits]\nrows = 50\nqueue = 7\n")
    settings, shown = read_settings(tmp_path, {"MAINSPRING_LIMITS_QUEUE": "9", "MAINSPRING_LIMITS_BODY_S": "2.5"})
    assert (settings.limits.rows, settings.limits.queue, settings.limits.body_s) == (50, 9, 2.5)
    origins = {one.name: (one.value, one.origin) for one in shown}
    assert origins["limits.rows"] == (50, str(tmp_path / "settings.toml"))
    assert origins["limits.queue"] == (9, "MAINSPRING_LIMITS_QUEUE")
    assert origins["limits.requests"] == (512, "default")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[limits]\nrow = 5\n", "settings.toml: is not a limit (got 'row'); did you mean 'rows'?"),
        ("[limits]\nrows = 0\n", "limits.rows: must be a whole number >= 1"),
        ("limits = 5\n", "limits: must be a table"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_settings(tmp_path, {})
    assert str(refused.value).startswith(message)
