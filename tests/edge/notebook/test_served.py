"""What a notebook registered is answered over HTTP, by what the estimator itself would say."""

import json
import socket
import time
import urllib.error
import urllib.request

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import mainspring as ms
from mainspring.adapters.home import Home
from mainspring.edges.up import supervised

WAIT_S = 60.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def post_when_ready(url, body):
    until_s = time.monotonic() + WAIT_S
    while True:
        try:
            return post(url, body)
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > until_s:
                raise
            time.sleep(0.2)


def test_a_registered_estimator_is_served_without_a_project(tmp_path):
    sample = pd.DataFrame({"distance": [float(n) for n in range(100)], "hour": [float(n % 24) for n in range(100)]})
    made = LogisticRegression(max_iter=1_000).fit(sample, sample["distance"] > 50)
    ms.register(made, sample, name="late", home=tmp_path / "home", by="ada")
    port = free_port()
    with supervised(Home(tmp_path / "home"), host="127.0.0.1", port=port, control_port=free_port()):
        row = {"distance": 70.0, "hour": 12.0}
        answer = post_when_ready(f"http://127.0.0.1:{port}/predict/late", row)
    assert answer["version"] == 1
    assert answer["value"] == pytest.approx(made.predict_proba(pd.DataFrame([row]))[0, 1], abs=1e-5)
