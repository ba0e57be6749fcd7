"""Control's OpenAPI document, held against control by schemathesis: nothing that it can be sent is a fault of ours."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

JOBS = ("train", "rehears", "backtest", "recompute", "environment", "backup", "erase")  # they take seconds each


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_the_document_allows_or_forbids_is_a_fault(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where a verb writes a file that it is named, it writes it here
    status, document, _ = ask("GET", "/api/openapi.json")
    assert status == 200
    schema = schemathesis.openapi.from_dict(document)
    headers = {"Authorization": f"Bearer {ask.token}", "X-Mainspring-Request": "1", "X-Mainspring-Actor": "ana"}
    asked: set[str] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if any(word in operation.path for word in JOBS):
            continue

        @settings(
            max_examples=3, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def hold(case: Any) -> None:
            answer = case.call(base_url=f"http://127.0.0.1:{ask.port}", headers=headers, timeout=60)
            asked.add(case.operation.path)
            told = case.operation.label, answer.status_code, answer.content[:500]
            assert answer.status_code < 500 or answer.status_code == 503, told  # 503: what it needs is away
            if answer.status_code >= 400:
                said = json.loads(answer.content)
                assert {"code", "message"} <= said.keys() or "error_code" in said, told

        hold()
    assert len(asked) > 20
