import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.blobs.s3 import S3Blobs
from mainspring.adapters.bucket import Bucket
from mainspring.adapters.cache import FileCache
from mainspring.adapters.disk import LocalDisk
from mainspring.kernel.errors import Conflict, InvalidInput, Refused, Unavailable
from mainspring.testing.contracts.blobs import BlobsContract


class TestFileBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FileBlobs:
        return FileBlobs(tmp_path / "blobs", LocalDisk())


@pytest.fixture
def bucket(s3_server, monkeypatch):
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    return Bucket(s3_server.fresh(), endpoint=s3_server.endpoint)


def opened(bucket, folder, limit_bytes=10**9, **given):
    return S3Blobs(bucket, FileBlobs(folder, LocalDisk()), FileCache(folder, limit_bytes, **given))


class TestS3Blobs(BlobsContract):
    @pytest.fixture
    def blobs(self, bucket, tmp_path: Path) -> S3Blobs:
        self.bucket, self.folder = bucket, tmp_path / "blobs"
        return opened(bucket, self.folder)

    def change(self, blobs, digest):
        file = self.folder.parent / "changed"
        file.write_bytes(b"what was changed")
        self.bucket.remove([f"blobs/{digest[:2]}/{digest}"])
        self.bucket.put(f"blobs/{digest[:2]}/{digest}", file)
        super().change(blobs, digest)

    def test_they_are_there_for_another_machine(self, blobs: S3Blobs, tmp_path: Path) -> None:
        other = opened(self.bucket, tmp_path / "other")
        digest = blobs.put(b"a model")
        assert other.path(digest).read_bytes() == b"a model"
        assert other.get(digest) == b"a model"

    def test_a_local_file_that_was_changed_is_fetched_anew(self, blobs: S3Blobs) -> None:
        digest = blobs.put(b"a model")
        super().change(blobs, digest)
        assert blobs.get(digest) == b"a model"
        super().change(blobs, digest)
        assert opened(self.bucket, self.folder).path(digest).read_bytes() == b"a model"

    def test_what_was_read_once_is_read_again_while_the_bucket_is_away(self, blobs: S3Blobs, tmp_path: Path) -> None:
        digest = blobs.put(b"a model")
        away = Bucket("s3://mainspring/x", endpoint="http://127.0.0.1:1", retry_s=0.5)
        alone = opened(away, self.folder)
        assert alone.get(digest) == b"a model"
        with pytest.raises(Unavailable, match="does not answer"):
            alone.put(b"another")
        with pytest.raises(Unavailable, match="does not answer"):
            opened(away, tmp_path / "empty").get(digest)

    def test_an_upload_that_failed_is_made_good_when_it_is_put_again(self, blobs: S3Blobs) -> None:
        away = opened(Bucket("s3://mainspring/x", endpoint="http://127.0.0.1:1", retry_s=0.5), self.folder)
        with pytest.raises(Unavailable):
            away.put(b"a model")
        digest = blobs.put(b"a model")
        assert blobs.has(digest)
        assert list(blobs.digests()) == [digest]

    def test_the_local_files_stay_within_their_bound(self, bucket: Bucket, tmp_path: Path) -> None:
        cached = opened(bucket, tmp_path / "blobs", 2_500, in_use_s=-10.0)
        digests = [cached.put(bytes([number]) * 1_000) for number in range(4)]
        for path in tmp_path.glob("blobs/*/*"):
            path.unlink()
        for digest in digests:
            assert len(cached.get(digest)) == 1_000
        assert sum(path.stat().st_size for path in tmp_path.glob("blobs/*/*")) == 2_000

    def test_what_is_routed_or_in_use_is_never_given_up(self, bucket: Bucket, tmp_path: Path) -> None:
        needed: list[str] = []
        cached = opened(bucket, tmp_path / "a", 1_500, in_use_s=-10.0, needed=lambda: needed)
        needed.append(cached.put(b"n" * 1_000))
        other = opened(bucket, tmp_path / "b")
        for number in range(3):
            cached.get(other.put(bytes([number]) * 1_000))
        assert cached.path(needed[0]).exists()
        in_use = opened(bucket, tmp_path / "c", 1)
        assert all(in_use.path(digest).exists() for digest in [in_use.put(b"x"), in_use.put(b"y")])


def test_a_wrong_key_is_refused_and_never_shown(s3_server, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mainspring")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    bucket = Bucket(s3_server.fresh(), endpoint=s3_server.endpoint)
    with pytest.raises(Refused, match="does not let us in") as told:
        opened(bucket, tmp_path).put(b"a model")
    assert "not-the-secret" not in f"{told.value} {bucket!r}"


def test_one_prefix_belongs_to_one_home(bucket):
    with pytest.raises(Conflict, match="in its folder"):
        bucket.claim("blobs", "hom_1", empty=False)
    bucket.claim("blobs", "hom_1", empty=True)
    bucket.claim("blobs", "hom_1", empty=False)
    with pytest.raises(Conflict, match="belongs to another home"):
        bucket.claim("blobs", "hom_2", empty=True)


@pytest.mark.parametrize("url", ["", "http://bucket/x", "s3://", "s3://key:secret@bucket/x", "s3://bucket/x?versions"])
def test_only_places_in_buckets_are_taken(url):
    with pytest.raises(InvalidInput, match="place in a bucket"):
        Bucket(url)


class Busy(BaseHTTPRequestHandler):
    """Answers 503 twice, as a bucket that asks to slow down, and takes what is put the third time."""

    asked: ClassVar[list[float]] = []

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(time.monotonic())
        self.send_response(503 if len(self.asked) < 3 else 200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


def test_a_server_that_is_busy_is_asked_again_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    (tmp_path / "file").write_bytes(b"a model")
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bucket = Bucket("s3://bucket/place", endpoint=f"http://127.0.0.1:{server.server_port}")
        bucket.put("blobs/aa/aa", tmp_path / "file")
        server.shutdown()
    assert len(Busy.asked) == 3
    assert Busy.asked[2] > Busy.asked[0]
