import pytest

from mainspring.testing.logs import LogBench


@pytest.fixture
def bench(tmp_path):
    bench = LogBench(tmp_path)
    yield bench
    bench.close()
