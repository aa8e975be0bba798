"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_ACTIVE = sa.text("is_active = 1")
_HAS_TIMER = sa.text("timer_us IS NOT NULL")
_HAS_PAYLOAD = sa.text("payload IS NOT NULL")


def upgrade() -> None:
    """Make every table."""
    _make_intake()
    _make_outbox()
    _make_people_and_quarantine()


def _make_intake() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("millis", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_attempts_at", "attempts", ["at_us"])
    op.create_index("ix_attempts_delivery", "attempts", ["delivery_id"])
    op.create_table(
        "calls",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("timer_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("source", "reference_id"),
    )
    op.create_index("ix_calls_active", "calls", ["is_active"], sqlite_where=_IS_ACTIVE)
    op.create_index("ix_calls_last", "calls", ["last_us"])
    op.create_index("ix_calls_timer", "calls", ["timer_us"], sqlite_where=_HAS_TIMER)
    op.create_table(
        "events",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("event_type", sa.String(length=32), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("occurred_us", sa.BigInteger(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "event_id", name="uq_events_source_event_id"),
    )
    op.create_index("ix_events_payload", "events", ["received_us"], sqlite_where=_HAS_PAYLOAD)
    op.create_index("ix_events_received", "events", ["received_us"])
    op.create_index("ix_events_reference", "events", ["source", "reference_id"])
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _make_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("key", sa.String(length=192), nullable=False),
        sa.Column("lane", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("accepted_us", sa.BigInteger(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=True),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reference_id", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("remote_id", sa.String(length=64), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_outbox_done", "outbox", ["done_us"])
    op.create_index("ix_outbox_gate", "outbox", ["state", "route", "kind", "due_us"])
    op.create_index("ix_outbox_lane", "outbox", ["lane", "position"])
    op.create_index("ix_outbox_payload", "outbox", ["done_us"], sqlite_where=_HAS_PAYLOAD)
    op.create_index("ix_outbox_reference", "outbox", ["source", "reference_id"])
    op.create_table(
        "pauses",
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("probe_us", sa.BigInteger(), nullable=False),
        sa.Column("token_mark", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("route", "kind", "reason"),
    )


def _make_people_and_quarantine() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("wanted", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed_us", sa.BigInteger(), nullable=False),
        sa.Column("named_us", sa.BigInteger(), nullable=False),
        sa.Column("card_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "person_keys",
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("scope", "kind", "value"),
    )
    op.create_index("ix_person_keys_person", "person_keys", ["person_id"])
    op.create_table(
        "quarantine",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("event_type", sa.String(length=32), nullable=False),
        sa.Column("issues", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_quarantine_received", "quarantine", ["received_us"])
