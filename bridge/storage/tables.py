"""The tables, for every engine that the store may run on.

Times are microseconds since 1970. What is JSON is kept as bytes: only the bridge reads it.
Migrations under `migrations/` make these tables; a test says that both agree.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from bridge.storage import presence_tables, provisioning_tables
from bridge.storage.table_names import entered

SCHEMA_HEAD: Final = "0007"
metadata: Final = entered
IS_BUSY: Final = presence_tables.IS_BUSY
agent_calls: Final = presence_tables.agent_calls
presence: Final = presence_tables.presence
provisioned: Final = provisioning_tables.provisioned

# SQLite gives row ids only to a column that is exactly INTEGER.
_RowId: Final = BigInteger().with_variant(Integer, "sqlite")

meta: Final = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

events: Final = Table(
    "events",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("event_type", String(32), nullable=False),
    Column("reference_id", String(128), nullable=False),
    Column("route", String(64), nullable=False),
    Column("occurred_us", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("payload", LargeBinary),
    # The rule that decided what the event does; empty: none. Null: an older release kept the event.
    Column("rule", Text),
    UniqueConstraint("source", "event_id", name="uq_events_source_event_id"),
    Index("ix_events_reference", "source", "reference_id"),
    Index("ix_events_received", "received_us"),
)

Index("ix_events_payload", events.c.received_us, sqlite_where=text("payload IS NOT NULL"))

calls: Final = Table(
    "calls",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("reference_id", String(128), primary_key=True),
    Column("state", LargeBinary, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("timer_us", BigInteger),
)
Index("ix_calls_timer", calls.c.timer_us, sqlite_where=text("timer_us IS NOT NULL"))
Index("ix_calls_active", calls.c.is_active, sqlite_where=text("is_active = 1"))
Index("ix_calls_last", calls.c.last_us)

people: Final = Table(
    "people",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("scope", String(512), nullable=False),
    Column("route", String(64), nullable=False),
    Column("wanted", LargeBinary, nullable=False),
    Column("confirmed", LargeBinary, nullable=False),
    Column("confirmed_us", BigInteger, nullable=False),
    Column("named_us", BigInteger, nullable=False),
    Column("card_id", String(64), nullable=False),
)

person_keys: Final = Table(
    "person_keys",
    metadata,
    Column("scope", String(512), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("person_id", String(64), nullable=False),
    Index("ix_person_keys_person", "person_id"),
)

# What two people are said to have. Whose it is stays as it was; this is for a person to see.
quarrels: Final = Table(
    "quarrels",
    metadata,
    Column("scope", String(512), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("claimant", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("decided", String(16), nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Index("ix_quarrels_owner", "owner"),
    Index("ix_quarrels_claimant", "claimant"),
    Index("ix_quarrels_last", "last_us"),
)

# Who was sent which message, by a mark that tells nobody who it is.
told: Final = Table(
    "told",
    metadata,
    Column("whom", String(64), primary_key=True),
    Column("template", String(512), primary_key=True),
    Column("key", String(192), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index("ix_told_key", "key"),
    Index("ix_told_at", "at_us"),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("key", String(192), nullable=False, unique=True),
    Column("lane", String(128), nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("route", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tier", Integer, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("accepted_us", BigInteger, nullable=False),
    Column("first_us", BigInteger),
    Column("done_us", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("scope", String(512)),
    Column("floor_id", BigInteger),
    Column("source", String(64), nullable=False),
    Column("reference_id", String(128), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("remote_id", String(64), nullable=False),
    Column("error", Text, nullable=False),
    Column("payload", LargeBinary),
    Column("expires_us", BigInteger),
    # The span that caused it, as W3C's `traceparent`; null where nothing is traced.
    Column("trace", String(64)),
    Index("ix_outbox_lane", "lane", "position"),
    Index("ix_outbox_reference", "source", "reference_id"),
    # A number is never given twice: what was tried is kept by it, also when the row has moved.
    sqlite_autoincrement=True,
)
# What waits is found without looking at what doesn't, however much there is of either. A statement
# uses these only if it says the same in literals, so the conditions have names.
IS_FIRST: Final = text("state = 'ready' AND tier = 0")
IS_LATER: Final = text("state = 'ready' AND tier = 1")
IS_PENDING: Final = text("state IN ('ready', 'blocked', 'sending', 'doubtful')")
IS_UNCLEAR: Final = text("state IN ('sending', 'doubtful')")
IS_STOPPED: Final = text("state IN ('dead', 'held', 'parked')")
HAS_REMOTE_ID: Final = text("remote_id != ''")
# What is to be given up at its time, unless it has left by then.
MAY_EXPIRE: Final = text("expires_us IS NOT NULL AND state = 'ready'")
IS_GIVEN_UP: Final = text("state = 'given_up'")
# What was given up, and still tells what it would have said.
IS_TOLD_YET: Final = text("state = 'given_up' AND payload IS NOT NULL")
IS_DONE: Final = text("state = 'delivered'")
Index(
    "ix_outbox_first",
    outbox.c.route,
    outbox.c.kind,
    outbox.c.accepted_us,
    sqlite_where=IS_FIRST,
)
Index("ix_outbox_later", outbox.c.route, outbox.c.kind, outbox.c.due_us, sqlite_where=IS_LATER)
Index("ix_outbox_pending", outbox.c.kind, outbox.c.accepted_us, sqlite_where=IS_PENDING)
Index("ix_outbox_unclear", outbox.c.id, sqlite_where=IS_UNCLEAR)
Index("ix_outbox_stopped", outbox.c.id, sqlite_where=IS_STOPPED)
Index("ix_outbox_done", outbox.c.done_us, sqlite_where=IS_DONE)
Index("ix_outbox_expires", outbox.c.expires_us, sqlite_where=MAY_EXPIRE)
Index("ix_outbox_given_up", outbox.c.done_us, sqlite_where=IS_GIVEN_UP)
Index("ix_outbox_told_yet", outbox.c.done_us, sqlite_where=IS_TOLD_YET)
Index("ix_outbox_remote", outbox.c.remote_id, sqlite_where=HAS_REMOTE_ID)
# An errand that was made, and nobody was told its id.
IS_UNNAMED: Final = text(
    "state = 'delivered' AND remote_id = '' AND kind IN ('new_errand', 'watemplate')"
)
Index("ix_outbox_unnamed", outbox.c.scope, sqlite_where=IS_UNNAMED)

# What was delivered a while ago: out of the way of what waits, and known by its key for as long as
# the same might be asked for again. `id` is the one that it had in the outbox.
delivered: Final = Table(
    "delivered",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("key", String(192), nullable=False),
    Column("lane", String(128), nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("route", String(64), nullable=False),
    Column("accepted_us", BigInteger, nullable=False),
    Column("first_us", BigInteger),
    Column("done_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("scope", String(512)),
    Column("source", String(64), nullable=False),
    Column("reference_id", String(128), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("remote_id", String(64), nullable=False),
    Column("payload", LargeBinary),
    Index("ix_delivered_key", "key"),
    Index("ix_delivered_reference", "source", "reference_id"),
    Index("ix_delivered_done", "done_us"),
)
Index("ix_delivered_payload", delivered.c.done_us, sqlite_where=text("payload IS NOT NULL"))
Index("ix_delivered_remote", delivered.c.remote_id, sqlite_where=HAS_REMOTE_ID)

workspaces: Final = Table(
    "workspaces",
    metadata,
    Column("scope", String(512), primary_key=True),
    Column("highest_id", BigInteger, nullable=False),
)

sightings: Final = Table(
    "sightings",
    metadata,
    Column("scope", String(512), primary_key=True),
    Column("errand_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("marker", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index("ix_sightings_at", "at_us"),
)
HAS_MARKER: Final = text("marker != ''")
Index(
    "ix_sightings_marker",
    sightings.c.marker,
    sightings.c.scope,
    sqlite_where=HAS_MARKER,
)
IS_OPEN: Final = text("state != 'closed'")
Index("ix_sightings_open", sightings.c.scope, sqlite_where=IS_OPEN)

# What agents answered, as Cention called back with it.
answers: Final = Table(
    "answers",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("key", String(640), nullable=False, unique=True),
    Column("digest", LargeBinary, nullable=False),
    Column("errand_id", BigInteger, nullable=False),
    Column("callback_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("due_us", BigInteger),
    Column("give_up_us", BigInteger, nullable=False),
    Column("done_us", BigInteger),
    Column("scope", String(512), nullable=False),
    Column("source", String(64), nullable=False),
    Column("reference_id", String(128), nullable=False),
    Column("route", String(64), nullable=False),
    Column("payload", LargeBinary),
    Index("ix_answers_reference", "source", "reference_id"),
    Index("ix_answers_received", "received_us"),
    sqlite_autoincrement=True,
)
IS_UNDONE: Final = text("state != 'done'")
Index("ix_answers_due", answers.c.scope, answers.c.state, answers.c.due_us, sqlite_where=IS_UNDONE)
Index("ix_answers_undone", answers.c.errand_id, answers.c.id, sqlite_where=IS_UNDONE)
Index("ix_answers_payload", answers.c.done_us, sqlite_where=text("payload IS NOT NULL"))

# The files of answers; `sha256` names the file that is kept beside the store.
answer_files: Final = Table(
    "answer_files",
    metadata,
    Column("answer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(32), primary_key=True),
    Column("file_id", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("content_id", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("error", String(64), nullable=False),
    Column("is_spent", Boolean, nullable=False),
)
Index(
    "ix_answer_files_sha256",
    answer_files.c.sha256,
    answer_files.c.is_spent,
    sqlite_where=text("sha256 != ''"),
)
IS_SPENT: Final = text("is_spent = 1 AND sha256 != ''")
Index("ix_answer_files_spent", answer_files.c.sha256, sqlite_where=IS_SPENT)

# What became of errands, as Cention reports it. `state` is all but the report, which is `payload`;
# one that is hushed is not to tell any texts any more.
reports: Final = Table(
    "reports",
    metadata,
    Column("scope", String(512), primary_key=True),
    Column("errand_id", BigInteger, primary_key=True, autoincrement=False),
    Column("source", String(64), nullable=False),
    Column("reference_id", String(128), nullable=False),
    Column("route", String(64), nullable=False),
    Column("queue", String(128), nullable=False),
    Column("called_us", BigInteger, nullable=False),
    Column("read_us", BigInteger, nullable=False),
    Column("due_us", BigInteger),
    Column("is_hushed", Boolean, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("payload", LargeBinary),
    Index("ix_reports_reference", "source", "reference_id"),
    Index("ix_reports_called", "called_us"),
    Index("ix_reports_read", "read_us"),
)
Index("ix_reports_due", reports.c.due_us, sqlite_where=text("due_us IS NOT NULL"))
Index("ix_reports_payload", reports.c.read_us, sqlite_where=text("payload IS NOT NULL"))

ratings: Final = Table(
    "ratings",
    metadata,
    Column("scope", String(512), primary_key=True),
    Column("rating_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("stars", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("noted_us", BigInteger, nullable=False),
    Column("payload", LargeBinary),
    Index("ix_ratings_noted", "noted_us"),
)
IS_RATING_OPEN: Final = text("state = 'open'")
Index("ix_ratings_open", ratings.c.scope, sqlite_where=IS_RATING_OPEN)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("delivery_id", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("millis", Integer, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_attempts_delivery", "delivery_id"),
    Index("ix_attempts_at", "at_us"),
)

pauses: Final = Table(
    "pauses",
    metadata,
    Column("route", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("reason", String(64), primary_key=True),
    Column("since_us", BigInteger, nullable=False),
    Column("probe_us", BigInteger, nullable=False),
    Column("token_mark", String(64), nullable=False),
)

quarantine: Final = Table(
    "quarantine",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("content_type", String(128), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("event_type", String(32), nullable=False),
    Column("issues", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("is_cut", Boolean, nullable=False),
    Index("ix_quarantine_received", "received_us"),
)
