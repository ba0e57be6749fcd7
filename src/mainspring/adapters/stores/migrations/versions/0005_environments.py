"""Approved environments: locks with their wheels."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of environments."""
    op.create_table(
        "environments",
        sa.Column("lock", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("approved_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lock", name=op.f("pk_environments")),
    )
