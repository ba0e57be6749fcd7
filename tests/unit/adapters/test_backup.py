import pytest

from mainspring.adapters.backup import backup, restore
from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, create_home
from mainspring.kernel.errors import Conflict, Damaged, NotFound, Refused
from mainspring.testing.logs import LogBench, outcome, request


@pytest.fixture
def home(tmp_path):
    return create_home(tmp_path / "home")


@pytest.fixture
def bench(home):
    bench = LogBench(home.root)
    bench.write(request(1), outcome("e1", 1.0, 5))
    bench.ingest.run()
    bench.write(request(2))
    FileBlobs(home.blobs, LocalDisk()).put(b"a model")
    yield bench
    bench.close()


def test_a_restored_home_has_every_row_blob_and_what_was_still_in_the_spool(home, bench, tmp_path):
    (home.root / "settings.toml").write_text('acknowledgement = "durable"\n')
    made = backup(home.root, tmp_path / "backup", bench.store)
    restored = restore(tmp_path / "backup", tmp_path / "other")
    assert restored.digest == made.digest
    assert Home(tmp_path / "other").file == home.file
    assert (tmp_path / "other" / "settings.toml").read_text() == 'acknowledgement = "durable"\n'
    again = LogBench(tmp_path / "other")
    assert again.ingest.run().records == 1
    assert again.log.requests("mod_1")["entity"].to_list() == ["e1", "e2"]
    assert again.log.outcomes("mod_1")["value"].to_list() == [1.0]
    again.close()
    blobs = FileBlobs(tmp_path / "other" / "blobs", LocalDisk())
    assert blobs.get(FileBlobs(home.blobs, LocalDisk()).put(b"a model")) == b"a model"


def test_what_comes_after_the_backup_is_not_in_it(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    bench.write(request(3))
    bench.ingest.run()
    restore(tmp_path / "backup", tmp_path / "other")
    again = LogBench(tmp_path / "other")
    again.ingest.run()
    assert again.log.requests("mod_1")["entity"].to_list() == ["e1", "e2"]
    again.close()


def test_any_changed_file_is_refused_and_no_home_appears(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    for path in sorted((tmp_path / "backup").rglob("*")):
        if path.is_dir() or path.name == "backup.json":
            continue
        before = path.read_bytes()
        path.write_bytes(before + b"x")
        with pytest.raises(Damaged):
            restore(tmp_path / "backup", tmp_path / "other")
        path.write_bytes(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "home"]


def test_a_backup_without_its_manifest_is_none(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    (tmp_path / "backup" / "backup.json").unlink()
    with pytest.raises(NotFound, match="manifest is missing"):
        restore(tmp_path / "backup", tmp_path / "other")


def test_a_missing_file_is_named(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    (tmp_path / "backup" / "meta.db").unlink()
    with pytest.raises(NotFound, match=r"meta\.db"):
        restore(tmp_path / "backup", tmp_path / "other")


def test_damage_is_not_backed_up(home, bench, tmp_path):
    part = next(home.parts.glob("requests/*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(Damaged):
        backup(home.root, tmp_path / "backup", bench.store)
    assert not (tmp_path / "backup").exists()


def test_nothing_is_overwritten(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    with pytest.raises(Conflict, match="not empty"):
        backup(home.root, tmp_path / "backup", bench.store)
    with pytest.raises(Conflict, match="not empty"):
        restore(tmp_path / "backup", home.root)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a//b", "."])
def test_a_manifest_that_names_other_places_is_refused(home, bench, tmp_path, name):
    backup(home.root, tmp_path / "backup", bench.store)
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_text(manifest.read_text().replace('"home.json"', f'"{name}"'))
    with pytest.raises(Refused, match="files of a home only"):
        restore(tmp_path / "backup", tmp_path / "other")


def test_a_link_in_a_backup_is_not_followed(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    (tmp_path / "backup" / "home.json").unlink()
    (tmp_path / "backup" / "home.json").symlink_to("/etc/hostname")
    with pytest.raises(Refused, match="not followed"):
        restore(tmp_path / "backup", tmp_path / "other")


def test_a_backup_of_a_newer_version_is_refused(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(Refused, match="newer version"):
        restore(tmp_path / "backup", tmp_path / "other")
