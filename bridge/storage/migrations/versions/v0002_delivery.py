"""Delivery: live before old, look-ups of what is in doubt, and a place for what is delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HAS_PAYLOAD = sa.text("payload IS NOT NULL")
_HAS_REMOTE_ID = sa.text("remote_id != ''")


def upgrade() -> None:
    """Make the outbox anew, and the tables that are new."""
    for name in ("done", "gate", "lane", "payload", "reference"):
        op.drop_index(f"ix_outbox_{name}", "outbox")
    op.rename_table("outbox", "outbox_before")
    _make_outbox()
    op.execute(_COPY)
    op.drop_table("outbox_before")
    _make_delivered()
    _make_look_ups()


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("key", sa.String(length=192), nullable=False),
        sa.Column("lane", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
    ]


def _origins() -> list[sa.Column[object]]:
    return [
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("remote_id", sa.String(length=64), nullable=False),
    ]


def _make_outbox() -> None:
    op.create_table(
        "outbox",
        *_columns(),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("accepted_us", sa.BigInteger(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=True),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(length=512), nullable=True),
        sa.Column("floor_id", sa.BigInteger(), nullable=True),
        *_origins(),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_lane", "outbox", ["lane", "position"])
    op.create_index("ix_outbox_reference", "outbox", ["source", "reference_id"])
    for name, columns, condition in (
        ("first", ["route", "kind", "accepted_us"], "state = 'ready' AND tier = 0"),
        ("later", ["route", "kind", "due_us"], "state = 'ready' AND tier = 1"),
        (
            "pending",
            ["kind", "accepted_us"],
            "state IN ('ready', 'blocked', 'sending', 'doubtful')",
        ),
        ("unclear", ["id"], "state IN ('sending', 'doubtful')"),
        ("stopped", ["id"], "state IN ('dead', 'held', 'parked')"),
        ("done", ["done_us"], "done_us IS NOT NULL"),
        ("remote", ["remote_id"], "remote_id != ''"),
    ):
        op.create_index(f"ix_outbox_{name}", "outbox", columns, sqlite_where=sa.text(condition))


_KEPT = (
    "id, key, lane, position, kind, route, state, due_us, accepted_us, first_us, done_us,"
    " attempts, source, reference_id, event_id, person_id, remote_id, error, payload"
)
# What was tried, also before somebody replayed it, may have made an errand of any id.
_FLOOR = "CASE WHEN attempts > 0 OR id IN (SELECT delivery_id FROM attempts) THEN 0 END"
_COPY = (
    f"INSERT INTO outbox ({_KEPT}, tier, floor_id)"  # noqa: S608 - nothing of it comes from outside
    f" SELECT {_KEPT}, attempts > 0, {_FLOOR} FROM outbox_before"
)


def _make_delivered() -> None:
    op.create_table(
        "delivered",
        *_columns(),
        sa.Column("accepted_us", sa.BigInteger(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=True),
        sa.Column("done_us", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(length=512), nullable=True),
        *_origins(),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_delivered_key", "delivered", ["key"])
    op.create_index("ix_delivered_reference", "delivered", ["source", "reference_id"])
    op.create_index("ix_delivered_done", "delivered", ["done_us"])
    op.create_index("ix_delivered_payload", "delivered", ["done_us"], sqlite_where=_HAS_PAYLOAD)
    op.create_index("ix_delivered_remote", "delivered", ["remote_id"], sqlite_where=_HAS_REMOTE_ID)


def _make_look_ups() -> None:
    op.create_table(
        "workspaces",
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("highest_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_table(
        "sightings",
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("errand_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("marker", sa.String(length=64), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "errand_id"),
    )
    op.create_index("ix_sightings_at", "sightings", ["at_us"])
    op.create_index(
        "ix_sightings_marker",
        "sightings",
        ["marker", "scope"],
        sqlite_where=sa.text("marker != ''"),
    )
    op.create_index(
        "ix_sightings_open", "sightings", ["scope"], sqlite_where=sa.text("state != 'closed'")
    )
