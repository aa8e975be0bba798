"""Bringing a store to this release's schema. Alembic is loaded only where there is work for it."""

import multiprocessing
import secrets
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, select, text

from bridge.domain.errors import StoreTooNew, StoreUnusable
from bridge.storage.tables import SCHEMA_HEAD, meta

# Every schema that a release had, the oldest first.
KNOWN_SCHEMAS: Final = ("0001",)
_DIGEST_KEY: Final = "digest_key"


def current_schema(connection: Connection) -> str | None:
    """Return the schema that a store is at; None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def prepare(engine: Engine) -> None:
    """Bring a store to this release's schema, and give a new one its secret.

    Raises:
        StoreTooNew: a newer release has been at work on it.
        StoreUnusable: it can't be migrated.
    """
    with engine.connect() as connection:
        current = current_schema(connection)
        if current is not None and current not in KNOWN_SCHEMAS:
            raise StoreTooNew(
                f"store.url: the store has schema {current}, this release knows {SCHEMA_HEAD};"
                " install the release that made it, or restore a backup"
            )
    if current != SCHEMA_HEAD:
        _migrate(engine)
    with engine.begin() as connection:
        if _read_key(connection) is None:
            value = secrets.token_bytes(32)
            connection.execute(meta.insert().values(name=_DIGEST_KEY, value=value))


def digest_key(engine: Engine) -> bytes:
    """Return the store's secret: digests of events and names of people are keyed with it."""
    with engine.connect() as connection:
        return _read_key(connection) or b""


def _read_key(connection: Connection) -> bytes | None:
    return connection.execute(select(meta.c.value).where(meta.c.name == _DIGEST_KEY)).scalar()


def _migrate(engine: Engine) -> None:
    """Migrate in a child process: Alembic is 12 MB that the daemon never needs again."""
    engine.dispose()
    child = multiprocessing.get_context("fork").Process(target=_migrate_here, args=(engine,))
    child.start()
    child.join()
    if child.exitcode != 0:
        raise StoreUnusable("store.url: the store could not be brought to this release's schema")


def _migrate_here(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
