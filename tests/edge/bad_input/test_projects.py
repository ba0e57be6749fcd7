"""Projects that cannot be applied: every fault in one go, each with the nearest right word, and nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROJECT, Answer, command, commands, trips, write_project

MISSPELT = """
import mainspring as ms

trips = ms.Source("trips", "trips.csv", tiem="start", known_at="end", key=5)
by_place = ms.FeatureView("by_place", source="trops", key="place", features=[ms.share("minutes > 30", over="3 hours")])
slow = ms.Model(
    "Slow", entity="trip", keys=7, inputs=["price"], predict_at="start - 2 moons", features=[by_place],
    outcome=ms.Outcome("minutes >> 30 ((", source=trips, matures_after=36),
    task="binry", checks=[ms.checks.metric("roc_acu", at_least=0.5), ms.checks.metrik("roc_auc"), 7],
    release=ms.Canary(shadow=14, steps="x", metric="log_los", margin="wide", minimum_units="many"),
    monitors=[ms.Drift(budgt="1 per 90d"), ms.Quality("log_los")],
    retrain=ms.Retrain(every="30 days", on=["qality"], window=3),
)
"""
SAID_OF_MISSPELT = [
    "Source('trips').tiem: is not a known key; did you mean 'time'?",
    "Source('trips'): time must be given; add time=…",
    "share.over = '3 hours': is not a duration; write a number and ms, s, m, h, d or w, such as 36h",
    "Outcome('minutes >> 30 ((').matures_after = 36: is not a duration; write a number and ms, s, m, h, d or w",
    "checks.metric = 'roc_acu': there is no such metric; did you mean 'roc_auc'?",
    "checks.metrik: there is no such check; did you mean 'metric'?",
    "Canary.metric = 'log_los': is not a metric that a release can test; did you mean 'log_loss'?",
    "Canary.shadow = 14: is not a duration",
    "Canary.margin = 'wide': must be a number above 0",
    "Canary.steps = 'x': must be a list",
    "Canary.minimum_units = 'many': must be a whole number",
    "Drift.budgt: is not a known key; did you mean 'budget'?",
    "Quality.metric = 'log_los': is not a bounded mean that can be watched; did you mean 'log_loss'?",
    "Retrain.every = '30 days': is not a duration",
    "Retrain.window = 3: is not a duration",
    "Model('Slow').name = 'Slow': is not a name; use lower-case letters, digits and _",
    "Model('Slow').keys = 7: must be a name or a list of names",
    "Model('Slow').predict_at = '2 moons': is not a duration",
    "Model('Slow').task = 'binry': is not one of the known words; did you mean 'binary'?",
    "Model('Slow').checks = 7: is not a check; such as ms.checks.metric('roc_auc', at_least=0.6)",
    "FeatureView('by_place').source = 'trops': no source has this name; did you mean 'trips'?",
]
ZONELESS = [line.replace("Z,", ",") for line in trips(50)]
REPEATED = [*trips(50), trips(50)[-1], ",a,1.5,2026-02-01T00:00:00Z,2026-02-20T00:00:00Z,3"]


def changed(*pairs: str) -> str:
    text = PROJECT
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return text


PROJECTS: dict[str, tuple[str, list[str] | None, list[str]]] = {
    "misspelt and mistyped": (MISSPELT, None, SAID_OF_MISSPELT),
    "columns that are not there": (
        PROJECT, [trips(5)[0].replace("start,end", "begin,finish").replace("trip", "trop"), *trips(5)[1:]],
        [
            "Source('trips').time: is not a column (got 'start'); known: begin",
            "Source('trips').known_at: is not a column (got 'end'); known: begin",
            "Source('trips').key: is not a column (got 'trip'); did you mean 'trop'?",
        ],
    ),
    "names that are no columns": (
        changed('inputs=["price"]', 'inputs=["prize"]', 'share("minutes', 'share("minuts', 'entity="trip"',
                'entity="tripp"'),
        None,
        [
            "FeatureView('by_place').share_minuts_gt_30_3h: is not a column of the source trips (got 'minuts'); "
            "did you mean 'minutes'?",
            "Model('slow').entity: is not a column of the source trips (got 'tripp'); did you mean 'trip'?",
            "Model('slow').inputs: is not a column of the source trips (got 'prize'); did you mean 'price'?",
        ],
    ),
    "times without a zone": (
        PROJECT, ZONELESS,
        [
            "Source('trips').start: holds times without a zone (got '2026-02-01T00:00:00'); append Z for UTC",
            "Source('trips').end: holds times without a zone (got '2026-02-01T01:00:00'); append Z for UTC",
        ],
    ),
    "keys that repeat or are missing": (
        PROJECT, REPEATED,
        [
            "Source('trips').key: is missing in some rows (got 'trip'); leave rows without a key out",
            "Source('trips').key: does not tell rows apart: the same key is known twice at the same moment "
            "(got {'trip': 't49'}); add the columns that do",
        ],
    ),
    "no file, and no rows": (
        changed('"trips.csv"', '"trops.csv"'), None, ["Source('trips'): there is no such file (got "],
    ),
    "no rows": (PROJECT, trips(0), ["Source('trips'): holds no rows; add some rows"]),
    "a policy that cannot decide": (
        changed("margin=0.05", "margin=0.001"), None,
        ["Model('slow').release: cannot decide by its deadline: ", "give it more time, or a wider margin"],
    ),
    "a file that raises": (
        "import mainspring as ms\n\n1 / 0\n", None, ["project.py:3: ZeroDivisionError: division by zero"],
    ),
    "a file that is no Python": ("import mainspring as ms\nms.Source(\n", None, ["project.py:2: SyntaxError: "]),
    "a file that ends the worker": ("import os\nos._exit(3)\n", None, ["apply: ended with code 3 and no result"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Answer]]:
    """Apply all of them side by side to the running home, which must not change."""
    folder = tmp_path_factory.mktemp("projects")
    before = running.state()
    places = {
        name: write_project(folder / str(number) / "trips", text, lines)
        for number, (name, (text, lines, _)) in enumerate(PROJECTS.items())
    }
    answers = commands(
        {name: lambda place=place: running.command("apply", str(place)) for name, place in places.items()}
    )
    assert running.state() == before
    yield answers
    assert running.state() == before


@pytest.mark.parametrize("case", PROJECTS)
def test_a_wrong_project_is_told_all_its_faults_and_changes_nothing(said: dict[str, Answer], case: str) -> None:
    code, text = said[case]
    assert code == 1
    assert "Traceback" not in text
    assert text.startswith("error: ")
    assert [sentence for sentence in PROJECTS[case][2] if sentence not in text] == []


def test_no_fault_is_told_twice(said: dict[str, Answer]) -> None:
    for answer in said.values():
        lines = answer.said.splitlines()
        assert sorted(lines) == sorted(set(lines))


def test_a_folder_without_a_project_is_refused(running: Any, tmp_path: Path) -> None:
    code, text = running.command("apply", str(tmp_path / "nowhere"))
    assert (code, text.count("\n")) == (1, 1)
    assert "there is no declaring file here (got '" in text
    assert "make one: mainspring init FOLDER" in text


def test_a_project_cannot_be_applied_into_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear all")
    project = write_project(tmp_path / "trips")
    code, text = command("apply", str(project), home=tmp_path)
    assert (code, text.count("\n")) == (1, 1)
    assert text.startswith("error: home: is a folder with other things in it (got '")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt", "trips"]
