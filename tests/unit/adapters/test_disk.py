import subprocess
import sys

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.kernel.errors import NotFound

SMALL = """
import resource, signal, sys
from pathlib import Path
from mainspring.adapters.disk import LocalDisk
from mainspring.kernel.errors import Unavailable

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))  # the kernel refuses the rest, as a full disk does
folder = Path(sys.argv[1])
disk = LocalDisk()
try:
    disk.write(folder / "whole", bytes(2_000))
except Unavailable as error:
    print(error)
file = disk.append(folder / "growing")
file.write(bytes(600))
try:
    file.write(bytes(600))
except Unavailable as error:
    print(error)
file.write(b"x" * 400)
print(sorted(path.name for path in folder.iterdir()), disk.size(folder / "growing"))
"""


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path):
    run = subprocess.run([sys.executable, "-c", SMALL, str(tmp_path)], capture_output=True, text=True, check=True)
    said = "home: the disk is full; nothing was changed; free some space"
    assert run.stdout.splitlines() == [said, said, "['growing'] 1000"]
    assert (tmp_path / "growing").read_bytes() == bytes(600) + b"x" * 400


def test_a_file_is_replaced_whole(tmp_path):
    disk = LocalDisk()
    disk.write(tmp_path / "a", b"first")
    disk.write(tmp_path / "a", b"second")
    assert disk.read(tmp_path / "a") == b"second"
    assert disk.list(tmp_path) == ["a"]


def test_part_of_a_file_can_be_read(tmp_path):
    disk = LocalDisk()
    disk.write(tmp_path / "a", b"0123456789")
    assert disk.read(tmp_path / "a", 7) == b"789"
    assert disk.read(tmp_path / "a", 2, 3) == b"234"
    assert disk.read(tmp_path / "a", 20) == b""


def test_what_is_not_there_is_not_found(tmp_path):
    disk = LocalDisk()
    with pytest.raises(NotFound):
        disk.read(tmp_path / "none")
    assert disk.size(tmp_path / "none") is None
    assert disk.list(tmp_path / "none") == []
    disk.remove(tmp_path / "none")


def test_an_append_file_is_a_new_one(tmp_path):
    disk = LocalDisk()
    disk.append(tmp_path / "a").close()
    with pytest.raises(FileExistsError):
        disk.append(tmp_path / "a")


def test_a_lock_has_one_holder_and_ends_with_its_process(tmp_path):
    disk = LocalDisk()
    lock = disk.lock(tmp_path / "lock")
    assert lock is not None
    assert disk.lock(tmp_path / "lock") is None
    lock.release()
    hold = "import sys; from pathlib import Path; from mainspring.adapters.disk import LocalDisk; "
    hold += "lock = LocalDisk().lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    assert disk.lock(tmp_path / "lock") is None
    holder.kill()
    holder.communicate()
    assert disk.lock(tmp_path / "lock") is not None
