import json
import os
import socket
from pathlib import Path

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


@pytest.mark.parametrize("name", [
        "../outside", "/etc/passwd", "a/../../b", "a//b", ".", "", "home.json/x", "blobs", "blobs/x", "blobs/../x",
        "blobs/ab/.hidden", "parts/a/b/c", "run/control.json", "lock", "x\\u0000y", "blobs/a/x\\u0000y",
        "blobs/ab/" + "x" * 300, "a/" * 3_000 + "x",
    ],
)  # fmt: skip
def test_a_manifest_that_names_other_places_is_refused(home, bench, tmp_path, name):
    backup(home.root, tmp_path / "backup", bench.store)
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_text(manifest.read_text().replace('"home.json"', f'"{name}"'))
    with pytest.raises(Refused, match="files of a home only"):
        restore(tmp_path / "backup", tmp_path / "other")


def _pipe(place):
    os.mkfifo(place)


def _link(place):
    place.symlink_to("/etc/hostname")


def _socket(place):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(place))


@pytest.mark.parametrize("lay", [_pipe, _link, _socket, Path.mkdir])
@pytest.mark.parametrize("name", ["home.json", "meta.db", "backup.json"])
def test_what_is_no_regular_file_is_refused_at_once(home, bench, tmp_path, name, lay):
    backup(home.root, tmp_path / "backup", bench.store)
    (tmp_path / "backup" / name).unlink()
    lay(tmp_path / "backup" / name)
    with pytest.raises(Refused, match=r"links are not followed|only regular files|cannot be opened"):
        restore(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_a_link_is_not_followed(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    (tmp_path / "backup" / "blobs").rename(tmp_path / "elsewhere")
    (tmp_path / "backup" / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="links are not followed"):
        restore(tmp_path / "backup", tmp_path / "other")


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["files"].pop("home.json"),
        lambda manifest: manifest["files"].pop("meta.db"),
        lambda manifest: manifest["files"].clear(),
        lambda manifest: manifest["files"]["home.json"].update(bytes=10**18),
        lambda manifest: manifest["files"]["home.json"].update(digest="0"),
        lambda manifest: manifest.update(format=0),
        lambda manifest: manifest.update(format=10**30),
        lambda manifest: manifest.update(files=[]),
    ],
)
def test_a_manifest_of_no_backup_makes_no_home(home, bench, tmp_path, change):
    backup(home.root, tmp_path / "backup", bench.store)
    path = tmp_path / "backup" / "backup.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises((Damaged, Refused)):
        restore(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_backup_of_a_newer_version_is_refused(home, bench, tmp_path):
    backup(home.root, tmp_path / "backup", bench.store)
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(Refused, match="newer version"):
        restore(tmp_path / "backup", tmp_path / "other")
