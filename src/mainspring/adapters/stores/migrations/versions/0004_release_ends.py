"""When a release ended, so that those that ran at a moment are found without reading all."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and its index, and fill it from what is stored of each release."""
    op.add_column("releases", sa.Column("ended_us", sa.BigInteger(), nullable=True))
    releases = sa.table("releases", sa.column("id"), sa.column("body"), sa.column("ended_us"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(releases.c.id, releases.c.body)).all():
        ended_us = json.loads(row.body)["state"].get("ended_us")
        if ended_us is not None:
            connection.execute(releases.update().where(releases.c.id == row.id).values(ended_us=ended_us))
    op.create_index("ix_releases_model_ended", "releases", ["model", "ended_us"])
