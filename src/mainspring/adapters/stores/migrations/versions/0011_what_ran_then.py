"""What ran at a moment, read off an index alone: of ten thousand releases only those are opened that did."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the index of starts know the ends, too."""
    op.drop_index("ix_releases_model_started", "releases")
    op.create_index("ix_releases_model_started", "releases", ["model", "started_us", "ended_us"])
