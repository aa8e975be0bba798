"""From settings to an exit code."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from bridge.app.daemon import Bridge, Load
from bridge.domain.errors import StoreBroken, StoreError, StoreUnavailable, StoreUnusable
from bridge.ops import crash, logs, systemd
from bridge.settings import Settings, SettingsError, load_settings
from bridge.storage.checkpoints import settle
from bridge.storage.engine import DaemonLock, open_engine, open_reader
from bridge.storage.schema import prepare
from bridge.storage.soundness import is_damaged

# How long the store may be looked through for damage: well within the watchdog's 30 seconds.
CHECK_S: Final = 10.0
_OPEN_TO_ALL: Final = (
    "http.auth_tokens: is missing, and the socket that systemd holds can be reached from other "
    "machines; set it or http.signing_secrets, or listen on 127.0.0.1"
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the settings come from, to read them at the start and again at SIGHUP."""

    config: Path | None
    secrets_dir: Path | None

    def load(self) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: something in them is wrong.
        """
        return load_settings(
            config=self.config, secrets_dir=self.secrets_dir, environ=dict(os.environ)
        )


def run(sources: Sources, *, is_dry: bool = False) -> int:
    """Run the daemon until a signal ends it; return the exit code. A dry run sends nothing.

    0: ended in order. 1: something broke that may pass (an address in use, a disk that failed to
    sync or to read): start it again. 2: settings or store are not right, or the store is damaged,
    and a person has to change something.
    """
    passed = systemd.passed_sockets()
    load = partial(_load, sources, passed)
    try:
        settings = load()
    except SettingsError as error:
        logs.complain(*error.problems)
        return 2
    log = logs.configure(settings.log.level, settings.log.format, logs.stderr())
    crash.install(log)
    crash.dump_when_shot()
    for notice in settings.notices():
        log.warning("notice", text=notice)
    try:
        engine = open_engine(settings.store.url)
        lock = DaemonLock(settings.store.url)
        prepare(engine)
        settle(engine)
        reader = open_reader(settings.store.url)
    except StoreError as error:
        logs.complain(str(error))
        return 1 if isinstance(error, StoreUnavailable) else 2
    try:
        bridge = partial(Bridge, settings, engine, reader, log, passed=passed, is_dry=is_dry)
        return _run_loop(bridge, settings.store.url, log, load)
    finally:
        reader.dispose()
        engine.dispose()
        lock.release()
        log.close()


def _load(sources: Sources, passed: Sequence[socket.socket]) -> Settings:
    settings = sources.load()
    if settings.http.is_open and any(map(systemd.is_reachable, passed)):
        raise SettingsError([_OPEN_TO_ALL])
    return settings


def _run_loop(make: Callable[[], Bridge], store_url: str, log: logs.StreamLog, load: Load) -> int:
    async def main() -> None:
        crash.watch_loop(asyncio.get_running_loop(), log)
        try:
            await make().run(load)
        except (StoreBroken, StoreUnusable) as error:
            _leave(error, store_url, log)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        log.error("the bridge can't start or go on", reason=reason)  # noqa: TRY400 - reason is enough
        return 1
    except SettingsError as error:  # a file of TLS that has gone since it was looked at
        logs.complain(*error.problems)
        return 2
    except (StoreError, ExceptionGroup) as error:
        crash.tell(log, "the bridge can't go on", error)
        return 1
    return 0


def _leave(error: StoreError, url: str, log: logs.StreamLog) -> NoReturn:
    """End as a crash would: a store that is closed in order is written and synced once more."""
    code = 1
    if isinstance(error, StoreUnusable):
        is_bad = is_damaged(url, CHECK_S)
        log.error("the store was looked through", is_damaged=is_bad, is_started_again=not is_bad)
        code = 2 if is_bad else 1
    log.close()
    os._exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
