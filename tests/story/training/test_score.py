from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from mainspring.edges.gateway.score import score
from mainspring.kernel.clock import to_us
from mainspring.kernel.errors import InvalidInput

from .conftest import Shop

ROWS = pl.DataFrame({"order_id": ["n1", "n2"], "shop": ["north", "west"], "amount": [10.0, 90.0]})


def test_features_of_a_batch_are_looked_up_no_further_back_than_they_are_kept(shop: Shop, tmp_path: Path) -> None:
    run = shop.platform.training.train(shop.model.id, by="ann")
    ROWS.write_csv(tmp_path / "rows.csv")
    before = shop.platform.log.counts()["predictions"]
    now = shop.clock.now()
    asked = shop.model.name, tmp_path / "rows.csv", tmp_path / "out.parquet"
    for hours, fault in ((-1, "at: lies in the future"), (25, "at: is too long ago")):
        at_us = to_us(now - timedelta(hours=hours))
        with pytest.raises(InvalidInput, match=fault):
            score(shop.platform, *asked, by="ann", version=run.number, at_us=at_us)
    shop.platform.loop.ingest()
    assert shop.platform.log.counts()["predictions"] == before

    at_us = to_us(now - timedelta(hours=23))
    scored = score(shop.platform, *asked, by="ann", version=run.number, at_us=at_us)
    shop.platform.loop.ingest()
    logged = shop.platform.log.requests(shop.model.id)
    assert scored.rows == 2
    assert logged["decision_us"].to_list() == [at_us, at_us]
    assert logged["receipt_us"].to_list() == [to_us(now), to_us(now)]
