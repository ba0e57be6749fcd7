"""Runs migrations on the connection of an open transaction, or on a new one when Alembic's own command asks."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=False, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
