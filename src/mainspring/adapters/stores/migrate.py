"""Bring a metadata store to the tables of this version, in one transaction."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from mainspring.kernel.errors import Refused
from mainspring.ledger.ports import Store

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_KNOWN = tuple(sorted(path.name[:4] for path in _VERSIONS.glob("[0-9]*.py")))
HEAD = _KNOWN[-1]

_TEXTS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type IN ('character varying', 'text') AND collation_name IS NULL
    AND table_name IN (SELECT table_name FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_type = 'BASE TABLE')
    AND table_name NOT IN ('alembic_version', 'mainspring_home')
"""


def migrate(store: Store) -> None:
    """Create or upgrade the tables. Raises ``Refused`` for a store that a newer version has written."""
    with store.bookkeeping() as connection:
        found = _revision(connection)
        if found == HEAD:
            return
        if found is not None and found not in _KNOWN:
            raise Refused(
                "the home was made by a newer version",
                field="home",
                value=found,
                remedy="install that version or a later one",
            )
        _upgrade(connection)


def _revision(connection: Connection) -> str | None:
    if "alembic_version" not in inspect(connection).get_table_names():
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "postgresql":
        _compare_as_sqlite_does(connection)


def _compare_as_sqlite_does(connection: Connection) -> None:
    """Make every text of PostgreSQL's tables order by its bytes and have no length, as SQLite's do."""
    found = connection.execute(text(_TEXTS)).all()
    for table in sorted({row.table_name for row in found}):
        columns = sorted(row.column_name for row in found if row.table_name == table)
        changes = ", ".join(f'ALTER COLUMN "{column}" TYPE text COLLATE "C"' for column in columns)
        connection.execute(text(f'ALTER TABLE "{table}" {changes}'))
