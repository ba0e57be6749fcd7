"""Indexes for a home with a long past: the newest releases, those that run, and where an alias points."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_releases_status_model", "releases", ["status", "model"])
    op.create_index("ix_releases_model_started", "releases", ["model", "started_us"])
    op.create_index("ix_releases_started", "releases", ["started_us"])
    op.create_index("ix_aliases_model_alias", "aliases", ["model", "alias", "id"])
