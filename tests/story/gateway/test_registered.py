"""A model from a notebook, without any project: registered, served, told what came true, scored in batch, replayed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from mainspring.adapters.home import HomeLock, create_home
from mainspring.edges.gateway.score import score
from mainspring.edges.notebook import register
from mainspring.platform import Platform, open_platform

DRAW = np.random.default_rng(0)
SAMPLE = pd.DataFrame({"distance": DRAW.uniform(0, 3_000, 400), "hour": DRAW.integers(0, 24, 400)})
LATE = (SAMPLE["hour"] > 15) ^ (DRAW.uniform(size=400) < 0.1)


class Served:
    """A home with a registered model and a gateway."""

    def __init__(self, root: Path, estimator: Any) -> None:
        self.home = create_home(root)
        register(estimator.fit(SAMPLE, LATE), SAMPLE, name="late", home=root, by="anna")
        self._lock = HomeLock(root, "test")
        self._lock.__enter__()
        self.platform: Platform = open_platform(self.home)
        self.platform.publisher.publish()
        commands = (["mainspring.edges.gateway.models"], ["mainspring.edges.gateway", "--port", "0"])
        self._processes = [
            subprocess.Popen([sys.executable, "-m", module, "--home", str(root), *more]) for module, *more in commands
        ]
        self.wait(self.platform.routing.acknowledgements)
        self.port = json.loads((self.home.run / "gateway-0.json").read_bytes())["port"]

    def ask(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def ingest_until(self, condition: Any) -> None:
        def look() -> Any:
            self.platform.ingest.run()
            return condition()

        self.wait(look)

    def wait(self, condition: Any) -> None:
        until = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.05)

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()
        self.platform.close()
        self._lock.__exit__(None, None, None)


@pytest.fixture(
    params=[HistGradientBoostingClassifier(max_iter=20, random_state=0), KNeighborsClassifier(weights="distance")],
    ids=["graph", "pickle"],
)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with closing(Served(tmp_path / "home", request.param)) as made:
        yield made


def test_a_registered_model_answers_learns_what_came_true_and_replays_to_the_byte(
    served: Served, tmp_path: Path
) -> None:
    rows = SAMPLE.head(3).to_dict("records")
    one = served.ask("/predict/late", rows[0])
    many = served.ask("/predict/late", rows)
    assert one["value"] == many["predictions"][0]["value"]
    assert served.ask("/outcomes/late", {"id": one["id"], "value": True}) == {"accepted": 1}
    served.ingest_until(lambda: served.platform.log.counts()["outcomes"] == 1)
    found = served.platform.log.prediction(one["id"])
    assert [row["value"] for row in found["outcomes"]] == [1.0]
    assert [served.platform.replay.replay(id).difference for id in (one["id"], many["id"])] == ["", ""]

    SAMPLE.head(100).to_csv(tmp_path / "rows.csv", index=False)
    batch = score(served.platform, "late", tmp_path / "rows.csv", tmp_path / "answers.parquet", by="anna")
    answers = pl.read_parquet(tmp_path / "answers.parquet")
    assert (batch.rows, batch.version, answers["value"][0]) == (100, 1, one["value"])
    served.ingest_until(lambda: served.platform.log.counts().get("batch") == 100)
    assert served.platform.replay.replay(answers["prediction_id"][0]).equal
