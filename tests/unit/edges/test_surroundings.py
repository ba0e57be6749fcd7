"""Which process of a home gets what of the environment."""

from __future__ import annotations

import pytest

from mainspring.adapters.settings import Settings
from mainspring.edges.surroundings import of_gateway, of_models

SECRETS = dict.fromkeys(
    ("MAINSPRING_STORE", "PGPASSWORD", "PGPASSFILE", "MAINSPRING_LEDGER_KEY", "MAINSPRING_MLFLOW_TOKEN",
     "MAINSPRING_WEBHOOK_SECRET", "MAINSPRING_WEBHOOK_URL", "MAINSPRING_KEY", "AWS_ACCESS_KEY_ID",
     "AWS_SECRET_ACCESS_KEY", "SHOP_DB_PASSWORD", "GITHUB_TOKEN"),
    "hush",
)  # fmt: skip
PLAIN = {"PATH": "/bin", "TMPDIR": "/tmp/x", "MAINSPRING_LIMITS_ROWS": "10", "OMP_NUM_THREADS": "1"}
AWS = {"AWS_ACCESS_KEY_ID": "hush", "AWS_SECRET_ACCESS_KEY": "hush"}


@pytest.mark.parametrize("of", [of_gateway, of_models])
def test_processes_that_answer_get_nothing_that_opens_database_ledger_or_bucket_or_signs_alarms(of) -> None:
    assert of({**SECRETS, **PLAIN}, Settings()) == PLAIN


@pytest.mark.parametrize("of", [of_gateway, of_models])
def test_keys_of_buckets_are_there_where_graphs_are_read_from_one(of) -> None:
    assert of({**SECRETS, **PLAIN}, Settings(blobs="s3://shop/blobs")) == PLAIN | AWS
    assert of({**SECRETS, **PLAIN}, Settings(tables="s3://shop/parts")) == PLAIN  # those are read by control alone


def test_what_writes_the_log_and_traces_gets_what_these_need_and_nobody_else() -> None:
    given = {"MAINSPRING_KAFKA_PASSWORD": "hush", "MAINSPRING_OTLP_ENDPOINT": "http://ann:hush@collector:4318"}
    assert of_gateway({**given, **PLAIN}, Settings()) == given | PLAIN
    assert of_models({**given, **PLAIN}, Settings()) == PLAIN
