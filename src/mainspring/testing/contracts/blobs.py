"""What every ``Blobs`` must do."""

# ruff: noqa: S101 - a contract is a test

from __future__ import annotations

from pathlib import Path

import pytest

from mainspring.kernel.errors import Damaged, InvalidInput, NotFound
from mainspring.log.ports import Blobs

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class BlobsContract:
    """Subclass it with a fixture ``blobs``; ``change`` puts other bytes where those of a digest are kept."""

    def change(self, blobs: Blobs, digest: str) -> None:
        blobs.path(digest).chmod(0o600)
        blobs.path(digest).write_bytes(b"what was changed")

    def test_bytes_come_back_as_they_were(self, blobs: Blobs) -> None:
        assert blobs.get(blobs.put(b"some bytes")) == b"some bytes"

    def test_the_name_is_the_sha_256(self, blobs: Blobs) -> None:
        assert blobs.put(b"") == EMPTY

    def test_storing_again_changes_nothing(self, blobs: Blobs) -> None:
        assert blobs.put(b"twice") == blobs.put(b"twice")

    def test_a_file_is_stored_by_its_bytes(self, blobs: Blobs, tmp_path: Path) -> None:
        file = tmp_path / "any name"
        file.write_bytes(b"of a file")
        assert blobs.put_file(file) == blobs.put(b"of a file")

    def test_has_tells_what_is_stored(self, blobs: Blobs) -> None:
        assert not blobs.has(EMPTY)
        blobs.put(b"")
        assert blobs.has(EMPTY)

    def test_what_is_stored_is_listed_once(self, blobs: Blobs) -> None:
        stored = {blobs.put(data) for data in (b"a", b"b", b"a")}
        assert sorted(blobs.digests()) == sorted(stored)

    def test_large_bytes_come_back_as_they_were(self, blobs: Blobs, tmp_path: Path) -> None:
        file = tmp_path / "large"
        file.write_bytes(bytes(range(256)) * 80_000)  # 20 MB
        digest = blobs.put_file(file)
        assert blobs.path(digest).read_bytes() == file.read_bytes()

    def test_what_is_not_stored_is_not_found(self, blobs: Blobs) -> None:
        with pytest.raises(NotFound):
            blobs.get(EMPTY)

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "abc", EMPTY.upper(), EMPTY + "\n"])
    def test_only_digests_are_names(self, blobs: Blobs, name: str) -> None:
        with pytest.raises(InvalidInput):
            blobs.get(name)

    def test_changed_bytes_are_never_given_out(self, blobs: Blobs) -> None:
        digest = blobs.put(b"what was written")
        self.change(blobs, digest)
        with pytest.raises(Damaged):
            blobs.get(digest)
