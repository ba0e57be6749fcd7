"""Policies by their digest, and which release ran by which since when, taken from the ledger for what was before."""

from hashlib import sha256

import msgspec
import sqlalchemy as sa
from alembic import op
from sqlalchemy import select

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_entries = sa.table(
    "ledger_entries", *(sa.column(name) for name in ("seq", "at_us", "actor", "kind", "subject", "reason", "numbers"))
)
_kept = sa.table("policies", sa.column("digest"), sa.column("body"))
_ran = sa.table("release_policies", *(sa.column(name) for name in ("release", "since_us", "digest", "actor", "reason")))


def upgrade() -> None:
    """Create the tables, and fill them with what the ledger tells."""
    op.create_table(
        "policies",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_policies")),
    )
    op.create_table(
        "release_policies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("release", sa.String(length=32), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["releases.id"], name=op.f("fk_release_policies_release_releases")),
        sa.ForeignKeyConstraint(["digest"], ["policies.digest"], name=op.f("fk_release_policies_digest_policies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release_policies")),
    )
    op.create_index(op.f("ix_release_policies_release"), "release_policies", ["release"])
    _take_from_ledger(op.get_bind())


def _take_from_ledger(connection: sa.Connection) -> None:
    releases = sa.table("releases", sa.column("id"))
    told = select(_entries).where(
        _entries.c.kind.in_(["release.started", "release.changed"]), _entries.c.subject.in_(select(releases.c.id))
    )
    kept: set[str] = set()
    for entry in connection.execute(told.order_by(_entries.c.seq)).all():
        numbers = msgspec.json.decode(entry.numbers)
        digest, body = numbers.get("policy_digest"), _canonical(numbers.get("policy"))
        if sha256(body).hexdigest() != digest:  # an entry that does not hold what its digest names
            continue
        if digest not in kept:
            kept.add(digest)
            connection.execute(sa.insert(_kept).values(digest=digest, body=body.decode()))
        reason = entry.reason.removeprefix("changed_by_hand: ")
        connection.execute(
            sa.insert(_ran).values(
                release=entry.subject, since_us=entry.at_us, digest=digest, actor=entry.actor, reason=reason
            )
        )


def _canonical(policy: object) -> bytes:
    return msgspec.json.encode(policy, order="sorted")  # as digests were taken: json writes 1e-7 as 1e-07
