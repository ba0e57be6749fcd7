"""The metadata store: SQLite."""
