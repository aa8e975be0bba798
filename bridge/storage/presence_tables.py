"""The tables of agents' presence; see `tables`, which has them all."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, text

from bridge.storage.table_names import entered

# Which of One View's agents is on which call: a leg is what callers and agents rang, each its own.
# `agent` is a mark that tells nobody who it is; empty: nobody that is known.
agent_calls: Final = Table(
    "agent_calls",
    entered,
    Column("source", String(64), primary_key=True),
    Column("reference_id", String(128), primary_key=True),
    Column("leg", String(8), primary_key=True),
    Column("agent", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("hung_us", BigInteger, nullable=False),
    Column("is_busy", Boolean, nullable=False),
    Column("touched_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Index("ix_agent_calls_touched", "touched_us"),
)
IS_BUSY: Final = text("is_busy = 1")
Index("ix_agent_calls_busy", agent_calls.c.agent, sqlite_where=IS_BUSY)
Index(
    "ix_agent_calls_expires",
    agent_calls.c.expires_us,
    sqlite_where=text("expires_us IS NOT NULL"),
)

# What is wanted of each agent's presence at One View, and what is known of it there.
presence: Final = Table(
    "presence",
    entered,
    Column("agent", String(64), primary_key=True),
    Column("due_us", BigInteger),
    Column("tier", Integer, nullable=False),
    Column("touched_us", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
Index(
    "ix_presence_due",
    presence.c.tier,
    presence.c.due_us,
    sqlite_where=text("due_us IS NOT NULL"),
)
