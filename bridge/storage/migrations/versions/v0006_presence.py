"""Presence at One View: who is on which call, and what is wanted of whom."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables that are new; nobody is known to be on a call that began before."""
    op.create_table(
        "agent_calls",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("leg", sa.String(length=8), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("hung_us", sa.BigInteger(), nullable=False),
        sa.Column("is_busy", sa.Boolean(), nullable=False),
        sa.Column("touched_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("source", "reference_id", "leg"),
    )
    op.create_index("ix_agent_calls_touched", "agent_calls", ["touched_us"])
    for name, column, condition in (
        ("busy", "agent", "is_busy = 1"),
        ("expires", "expires_us", "expires_us IS NOT NULL"),
    ):
        op.create_index(
            f"ix_agent_calls_{name}", "agent_calls", [column], sqlite_where=sa.text(condition)
        )
    op.create_table(
        "presence",
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("touched_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("agent"),
    )
    op.create_index(
        "ix_presence_due",
        "presence",
        ["tier", "due_us"],
        sqlite_where=sa.text("due_us IS NOT NULL"),
    )
