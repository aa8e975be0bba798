"""The table of what was set up over Cention's administration API."""

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from bridge.storage.table_names import entered

# What was set up over the administration API, by the names of the centre's file. `scope` is the
# workspace; `state` says whether an answer is still to come. `fields` is what was acknowledged,
# `pending` what was sent, each as JSON.
provisioned: Final = Table(
    "provisioned",
    entered,
    Column("scope", String(512), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("remote_id", BigInteger),
    Column("place", BigInteger, nullable=False),
    Column("fields", LargeBinary, nullable=False),
    Column("pending", LargeBinary, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
)
