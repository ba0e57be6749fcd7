import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.features.keys import encode_key
from mainspring.features.ports import FeatureRow
from mainspring.testing.contracts.latest import NOTHING, RECENT, SALES, VIEW, LatestContract, hour, sales


@pytest.fixture
def latest(tmp_path: Path):
    opened = LmdbLatest(tmp_path / "latest")
    yield opened
    opened.close()


class TestLmdbLatest(LatestContract):
    pass


def test_another_process_reads_what_was_put(latest, tmp_path):
    reader = _reader(tmp_path, "print(latest.get(VIEW, [encode_key(['a'])], hour(1)))")
    assert reader() == "[None]"
    latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 1, 5.0, 3, True, "tea")))
    assert reader().startswith("[FeatureRow(values=(1, 5.0, 1.0, 1, 5.0, 3, True, 'tea', ")


def test_a_reader_that_is_open_sees_what_is_put_later(tmp_path):
    code = """
        import subprocess, sys
        print(latest.get(VIEW, [encode_key(['a'])], hour(1)))
        latest.position(VIEW)
        subprocess.run([sys.executable, "-c", WRITE], check=True)
        print(latest.get(VIEW, [encode_key(['a'])], hour(1))[0].values[0])
    """
    write = _HEAD + f"latest = LmdbLatest(Path({str(tmp_path / 'latest')!r}))\n"
    write += "latest.put(VIEW, RECENT, SALES, sales((1, 'a', 0, 1, 5.0, 3, True, 'tea')))"
    assert _reader(tmp_path, f"WRITE = {write!r}\n" + textwrap.dedent(code))().split() == ["[None]", "1"]


def test_what_is_remembered_of_a_key_is_told_only_while_it_holds(latest, tmp_path):
    latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea"), (2, "a", 1, 2, None, 4, False, None)))
    borders = [hour(at) for at in (-1, 0, 1, 2, 3, 4, 5, 6, 7, 9)]
    moments = [border + beside for border in borders for beside in (-1, 0, 1)]

    def fresh(at_us):
        reader = LmdbLatest(tmp_path / "latest2", read_only=True)
        found = reader.get(VIEW, ['["a"]', '["never"]'], at_us)
        reader.close()
        return found

    other = LmdbLatest(tmp_path / "latest2")
    other.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea"), (2, "a", 1, 2, None, 4, False, None)))
    other.close()
    expected = {at_us: fresh(at_us) for at_us in moments}
    for at_us in [at for start in moments for at in (start, *moments)]:
        assert latest.get(VIEW, ['["a"]', '["never"]'], at_us) == expected[at_us]
    assert len({found[0].values for found in expected.values()}) > 4


def test_a_commit_makes_everything_be_read_anew(latest):
    for price in (1.0, 2.0, 3.0):
        latest.put(VIEW, RECENT, SALES, sales((int(price), "a", price / 10, price / 10, price, 3, True, "tea")))
        for _ in range(3):
            assert latest.get(VIEW, ['["a"]'], hour(1))[0].values[4] == price
    assert latest._newest() > 0


def test_a_writer_goes_on_where_the_last_one_stopped(tmp_path):
    for number in range(3):
        latest = LmdbLatest(tmp_path / "latest")
        latest.put(VIEW, RECENT, SALES, sales((number, "a", number / 10, number / 10, 5.0, 3, True, "tea")))
        found = latest.get(VIEW, ['["a"]'], hour(1))[0]
        latest.close()
        assert found is not None
        assert found.values[0] == number + 1


def test_after_a_restart_of_the_machine_views_are_fed_anew(tmp_path):
    latest = LmdbLatest(tmp_path / "latest")
    latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 1, 5.0, 3, True, "tea")))
    latest.mark(VIEW, "1")
    latest.close()
    (tmp_path / "latest" / "boot").write_text("another boot")
    latest = LmdbLatest(tmp_path / "latest")
    assert latest.position(VIEW) == ""
    latest.close()


def test_what_no_moment_can_see_any_more_is_let_go(latest):
    for day in range(40):
        rows = sales(
            *((day * 100 + n, f"s{day}", day * 24 + n / 5, day * 24 + n / 5, n, 3, True, "tea") for n in range(50))
        )
        latest.put(VIEW, RECENT, SALES, rows)
    assert latest.get(VIEW, ['["s0"]'], hour(40 * 24)) == [FeatureRow(NOTHING, None)]
    with latest._env.begin() as reading:
        assert reading.stat()["entries"] < 10
        assert len(reading.get(b"r" + VIEW[:32].encode())) < 60_000


_HEAD = """
from pathlib import Path
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.features.keys import encode_key
from mainspring.testing.contracts.latest import RECENT, SALES, VIEW, hour, sales
"""


def _reader(tmp_path, code):
    def run():
        opened = f"latest = LmdbLatest(Path({str(tmp_path / 'latest')!r}), read_only=True)\n"
        done = subprocess.run(
            [sys.executable, "-c", _HEAD + opened + code], check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    return run


WRITES_ANEW = """
old = sales((1, "north-side", 0, 1, 5.0, 3, True, "tea"), (2, "south", 0, 1, 6.0, 3, True, "tea"))
latest.put(VIEW, RECENT, SALES, old)
print("put", flush=True)
sys.stdin.readline()
fresh = latest.beside()
fresh.put(VIEW, RECENT, SALES, old.filter(pl.col("shop") == "south"))
latest.take(fresh)
print("taken", flush=True)
sys.stdin.readline()
latest.put(VIEW, RECENT, SALES, sales((3, "north-side", 0, 1, 5.0, 3, True, "tea")))
print("put again", flush=True)
"""


def test_a_reader_follows_what_was_put_in_the_stores_place_and_nothing_of_before_is_left(tmp_path):
    head = f"import sys\nimport polars as pl\n{_HEAD}\nlatest = LmdbLatest(Path({str(tmp_path / 'latest')!r}))\n"
    writer = subprocess.Popen(
        [sys.executable, "-c", head + WRITES_ANEW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "put\n"
    reader = LmdbLatest(tmp_path / "latest", read_only=True)
    keys = [encode_key(["south"]), encode_key(["north-side"])]
    assert [row.values[0] for row in reader.get(VIEW, keys, hour(2))] == [1, 1]
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "taken\n"
    assert [row.values[0] for row in reader.get(VIEW, keys, hour(2))] == [1, 1], "what is read stays until it follows"
    reader.follow()
    assert [row.values[0] for row in reader.get(VIEW, keys, hour(2))] == [1, 0]
    assert b"north-side" not in (tmp_path / "latest" / "data.mdb").read_bytes()
    assert writer.communicate("go\n")[0] == "put again\n"
    assert [row.values[0] for row in reader.get(VIEW, keys, hour(2))] == [1, 1]
    assert sorted(path.name for path in (tmp_path / "latest").iterdir()) == ["boot", "data.mdb", "lock.mdb"]
    reader.close()
