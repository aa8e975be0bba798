"""Bringing a store to this release's schema. Alembic is loaded only where there is work for it."""

import multiprocessing
import secrets
import sys
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, select, text

from bridge.domain.errors import StoreTooNew, StoreUnavailable, StoreUnusable
from bridge.storage.failures import translated
from bridge.storage.tables import SCHEMA_HEAD, meta

# Every schema that a release had, the oldest first.
KNOWN_SCHEMAS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
_DIGEST_KEY: Final = "digest_key"
_PASSING_EXIT: Final = 75  # EX_TEMPFAIL of sysexits.h


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
        StoreUnavailable: it can't be used now (disk full, locked); it may later.
    """
    with translated():
        with engine.connect() as connection:
            current = current_schema(connection)
        _refuse_unknown(current)
        if current != SCHEMA_HEAD:
            _migrate(engine)
        with engine.begin() as connection:
            if _read_key(connection) is None:
                value = secrets.token_bytes(32)
                connection.execute(meta.insert().values(name=_DIGEST_KEY, value=value))


def ensure_current(engine: Engine) -> None:
    """Refuse a store that `prepare` has yet to bring to this release's schema.

    For what works beside the daemon, which alone may change the schema.

    Raises:
        StoreTooNew: a newer release has been at work on it.
        StoreUnusable: it is older than this release, or was never made ready.
        StoreUnavailable: it can't be used now; it may later.
    """
    with translated(), engine.connect() as connection:
        current = current_schema(connection)
        is_ready = current == SCHEMA_HEAD and _read_key(connection) is not None
    _refuse_unknown(current)
    if not is_ready:
        raise StoreUnusable(
            f"store.url: the store has schema {current or 'none'}, this release works with"
            f" {SCHEMA_HEAD}; start `run` once, which makes it ready"
        )


def _refuse_unknown(current: str | None) -> None:
    if current is not None and current not in KNOWN_SCHEMAS:
        raise StoreTooNew(
            f"store.url: the store has schema {current}, this release knows {SCHEMA_HEAD};"
            " install the release that made it, or restore a backup"
        )


def digest_key(engine: Engine) -> bytes:
    """Return the store's secret: digests of events and names of people are keyed with it."""
    with engine.connect() as connection:
        return secret_of(connection)


def secret_of(connection: Connection) -> bytes:
    """Return the store's secret as one connection sees it; see `digest_key`."""
    return _read_key(connection) or b""


def _read_key(connection: Connection) -> bytes | None:
    return connection.execute(select(meta.c.value).where(meta.c.name == _DIGEST_KEY)).scalar()


def _migrate(engine: Engine) -> None:
    """Migrate in a child process: Alembic is 12 MB that the daemon never needs again."""
    engine.dispose()
    child = multiprocessing.get_context("fork").Process(target=_migrate_here, args=(engine,))
    child.start()
    child.join()
    if child.exitcode == _PASSING_EXIT:
        raise StoreUnavailable("store.url: the store can't be migrated now (disk full or in use?)")
    if child.exitcode != 0:
        raise StoreUnusable(
            "store.url: the store could not be brought to this release's schema;"
            " is it the bridge's own?"
        )


def _migrate_here(engine: Engine) -> None:
    try:
        _upgrade(engine)
    except StoreUnavailable:
        sys.exit(_PASSING_EXIT)
    except Exception:  # noqa: BLE001 - the parent says it in a line; a trace helps nobody there
        sys.exit(1)


def _upgrade(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - see `_migrate`
    from alembic.config import Config  # noqa: PLC0415 - see `_migrate`

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with translated(), engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
