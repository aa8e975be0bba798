"""What comes back: answers and their files, errand reports, Facebook ratings."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables that are new, and find errands whose ids nobody was told."""
    op.create_index(
        "ix_outbox_unnamed",
        "outbox",
        ["scope"],
        sqlite_where=sa.text(
            "state = 'delivered' AND remote_id = '' AND kind IN ('new_errand', 'watemplate')"
        ),
    )
    _make_answers()
    _make_reports()


def _make_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=640), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("errand_id", sa.BigInteger(), nullable=False),
        sa.Column("callback_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("give_up_us", sa.BigInteger(), nullable=False),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_answers_reference", "answers", ["source", "reference_id"])
    op.create_index("ix_answers_received", "answers", ["received_us"])
    for name, columns in (("undone", ["errand_id", "id"]), ("due", ["scope", "state", "due_us"])):
        op.create_index(
            f"ix_answers_{name}", "answers", columns, sqlite_where=sa.text("state != 'done'")
        )
    op.create_index(
        "ix_answers_payload",
        "answers",
        ["done_us"],
        sqlite_where=sa.text("payload IS NOT NULL"),
    )
    op.create_table(
        "answer_files",
        sa.Column("answer_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("content_id", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("error", sa.String(length=64), nullable=False),
        sa.Column("is_spent", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("answer_id", "type", "file_id"),
    )
    op.create_index(
        "ix_answer_files_sha256",
        "answer_files",
        ["sha256", "is_spent"],
        sqlite_where=sa.text("sha256 != ''"),
    )
    op.create_index(
        "ix_answer_files_spent",
        "answer_files",
        ["sha256"],
        sqlite_where=sa.text("is_spent = 1 AND sha256 != ''"),
    )


def _make_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("errand_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("called_us", sa.BigInteger(), nullable=False),
        sa.Column("read_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("is_hushed", sa.Boolean(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("scope", "errand_id"),
    )
    op.create_index("ix_reports_reference", "reports", ["source", "reference_id"])
    op.create_index("ix_reports_called", "reports", ["called_us"])
    op.create_index("ix_reports_read", "reports", ["read_us"])
    for name, column in (("due", "due_us"), ("payload", "read_us")):
        condition = "due_us IS NOT NULL" if name == "due" else "payload IS NOT NULL"
        op.create_index(f"ix_reports_{name}", "reports", [column], sqlite_where=sa.text(condition))
    op.create_table(
        "ratings",
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("rating_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("noted_us", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("scope", "rating_id"),
    )
    op.create_index("ix_ratings_noted", "ratings", ["noted_us"])
    op.create_index("ix_ratings_open", "ratings", ["scope"], sqlite_where=sa.text("state = 'open'"))
