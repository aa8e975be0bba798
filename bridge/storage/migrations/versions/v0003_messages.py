"""Messages: deliveries with an end of their time, who was told what, and who quarrels over what."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Give the outbox a column, and make the tables that are new."""
    op.add_column("outbox", sa.Column("expires_us", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_outbox_expires",
        "outbox",
        ["expires_us"],
        sqlite_where=sa.text("expires_us IS NOT NULL AND state = 'ready'"),
    )
    op.drop_index("ix_outbox_done", "outbox")
    for name, condition in (
        ("done", "state = 'delivered'"),
        ("given_up", "state = 'given_up'"),
        ("told_yet", "state = 'given_up' AND payload IS NOT NULL"),
    ):
        op.create_index(f"ix_outbox_{name}", "outbox", ["done_us"], sqlite_where=sa.text(condition))
    op.create_table(
        "quarrels",
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("claimant", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("decided", sa.String(length=16), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "kind", "value", "claimant"),
    )
    op.create_index("ix_quarrels_owner", "quarrels", ["owner"])
    op.create_index("ix_quarrels_claimant", "quarrels", ["claimant"])
    op.create_index("ix_quarrels_last", "quarrels", ["last_us"])
    op.create_table(
        "told",
        sa.Column("whom", sa.String(length=64), nullable=False),
        sa.Column("template", sa.String(length=512), nullable=False),
        sa.Column("key", sa.String(length=192), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("whom", "template"),
    )
    op.create_index("ix_told_key", "told", ["key"])
    op.create_index("ix_told_at", "told", ["at_us"])
