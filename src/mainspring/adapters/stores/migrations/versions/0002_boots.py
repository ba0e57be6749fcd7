"""Which boots wrote, and under which policy they acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of boots."""
    op.create_table(
        "boots",
        sa.Column("boot", sa.String(length=40), nullable=False),
        sa.Column("acknowledgement", sa.String(length=20), nullable=False),
        sa.Column("batch_ms", sa.Integer(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("boot", name=op.f("pk_boots")),
    )
