"""Simulated days of a model of three airports: a poor champion, a better challenger, and a rule as good as none."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import exp
from typing import Any

import pytest
from tests.story.turns import Turns

from mainspring.adapters.home import Home, create_home
from mainspring.edges.processes import free_port
from mainspring.edges.up import supervised

START = datetime(2026, 3, 1, tzinfo=UTC)
TURN = timedelta(hours=6)
ROWS = 300
AIRPORTS = ("EWR", "JFK", "LGA")
PROJECT = """
import mainspring as ms

trips = ms.Source("trips", "trips.csv", time="booked", known_at="left", key="trip_id")
airport = ms.Model(
    "airport", entity="trip_id", inputs=["x", "y"], predict_at="booked", task="multiclass",
    outcome=ms.Outcome("airport", source=trips, matures_after="7h", affected_by_answer=False),
    checks=[ms.checks.metric("accuracy", at_least=0.4), ms.checks.not_worse_than_champion("log_loss", margin=0.05)],
    release=ms.Canary(shadow="4d", steps=[0.5], hold="1h", metric="log_loss", margin=0.1, minimum_units=200),
    monitors=[
        ms.Quality("log_loss", window="6h", reference="12h"),
        ms.Drift(window="6h", reference="1d", season=None),
    ],
)


@airport.trainer(inputs=["x"])
def by_x(frame, params):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(frame[["x"]], frame["label"])


@airport.recipe("both")
def by_both(frame, params):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), LogisticRegression()).fit(frame[["x", "y"]], frame["label"])


@airport.rule
def at_random(frame, params):
    import pandas as pd

    return pd.DataFrame({"LGA": 0.2, "JFK": 0.3, "EWR": 0.5 + 0.0 * frame["x"]})
"""


def drawn(dice: random.Random) -> tuple[float, float, str]:
    """Return a trip and the airport that it really leaves from."""
    x, y = dice.uniform(-2, 2), dice.uniform(-2, 2)
    pull = [exp(1.5 * x), exp(1.5 * y), 1.0]
    return x, y, dice.choices(AIRPORTS, pull)[0]


class Story(Turns):
    """Plays turns of three airports, and keeps what callers were told."""

    model = "airport"
    turn_is = TURN

    def __init__(self, home: Home, port: int) -> None:
        super().__init__(home, port)
        self._came: dict[str, str] = {}
        self.failed: list[tuple[int, bytes]] = []
        self.versions: list[Counter[int]] = []
        self.ids: list[str] = []

    def train(self, recipe: str) -> list[dict[str, Any]]:
        run = self.verb("train", model="airport", recipe=recipe, reason=recipe)
        results: list[dict[str, Any]] = self.verb("check", model="airport", version=str(run["number"]))
        return results

    def http(self, path: str, body: bytes, **headers: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            said = answer.read()
            return json.loads(said) if "json" in answer.headers["content-type"] else said

    def page(self, path: str) -> str:
        control = json.loads((self.home.run / "control.json").read_bytes())
        asked = urllib.request.Request(
            f"http://127.0.0.1:{control['port']}{path}", headers={"authorization": f"Bearer {control['token']}"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said: str = answer.read().decode()
            return said

    def refused(self, path: str, body: bytes) -> tuple[int, Any]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.http(path, body)
        return caught.value.code, json.loads(caught.value.read())

    def _outcomes(self) -> list[dict[str, Any]]:
        return [{"trip_id": entity, "value": value} for entity, value in self._came.items()]

    def _questions(self) -> list[bytes]:
        self.versions.append(Counter())
        rows, self._came = [], {}
        for number in range(ROWS):
            x, y, airport = drawn(self._dice)
            entity = f"t{self.turn}_{number}"
            rows.append({"trip_id": entity, "x": x, "y": y})
            self._came[entity] = airport
        return [json.dumps(rows[at : at + 10]).encode() for at in range(0, ROWS, 10)]

    def _answered(self, index: int, status: int, body: bytes) -> None:
        if status != 200:
            self.failed.append((status, body))
            return
        said = json.loads(body)
        self.ids.append(said["id"])
        for one in said["predictions"]:
            probabilities = one["probabilities"]
            assert tuple(probabilities) == AIRPORTS
            assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-5)
            assert probabilities[one["class"]] == max(probabilities.values())
            self.versions[-1][one["version"]] += 1


class Told:
    """What was seen on the way."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.checks = story.train("default")
        story.verb("release start", model="airport", version="1", reason="the first")
        story.play(1)
        self.first = story.ids[0]
        story.train("both")
        better = story.verb("release start", model="airport", version="2", reason="sees y, too")
        story.play(1)
        self.disagreement = story.verb("release disagreement", release=better["id"])
        self.sample = story.verb("release sample", release=better["id"], rows=4)
        self.better = story.play_until_over(better["id"])
        story.train("rule")
        story.let_pass("3")
        worse = story.verb("release start", model="airport", version="3", reason="as good as none")
        body = json.dumps([{"trip_id": f"t{story.turn - 1}_{number}", "value": "PHL"} for number in range(3)]).encode()
        self.accepted = story.http("/outcomes/airport", body)
        self.worse = story.play_until_over(worse["id"])
        policy = {"type": "canary", "shadow": "4d", "metric": "brier", "margin": 0.1, "approval": {}}
        signed = story.verb("release start", model="airport", version="1", policy=policy, reason="to be signed off")
        story.play(1)
        self.page = story.page(f"/releases/{signed['id']}/sample")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    place = tmp_path_factory.mktemp("airports")
    project = place / "airports"
    project.mkdir()
    (project / "project.py").write_text(PROJECT)
    dice = random.Random(1)
    lines = ["trip_id,x,y,airport,booked,left"]
    for number in range(1_400):  # the last of them lie ahead, until the clock gets there
        x, y, airport = drawn(dice)
        booked = START - timedelta(days=12) + timedelta(minutes=15 * number)
        lines.append(f"past{number},{x},{y},{airport},{booked.isoformat()},{(booked + timedelta(hours=5)).isoformat()}")
    (project / "trips.csv").write_text("\n".join(lines) + "\n")
    home = create_home(place / "home", simulated_from=START)
    port = free_port()
    with supervised(home, host="127.0.0.1", port=port, control_port=free_port()):
        story = Story(home, port)
        story.verb("apply", path=str(project))
        story.verb("ingest")
        yield Told(story)
