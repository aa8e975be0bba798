"""Setting a centre up, put together: settings, the file, the state, and the way to Cention."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Engine

from bridge.cention.administration import AdministrationClient, AdministrationOptions
from bridge.domain.centre import Centre, read_centre
from bridge.domain.centre_lines import find_lines
from bridge.domain.centre_plan import Plan
from bridge.domain.errors import CentreUnready
from bridge.ops.clock import SystemClock
from bridge.services.limiter import Pace
from bridge.services.provisioning import Outcome, Provisioner, Result
from bridge.settings import Settings, SettingsError
from bridge.settings.sections import secret_text
from bridge.settings.toml_files import read_toml
from bridge.storage.provisioning import SqlCentreState
from bridge.wire.exchange import Exchange, open_session


def scope_of(settings: Settings) -> str:
    """Return the workspace that is set up, as `<base URL>/s/<workspace>`.

    Raises:
        CentreUnready: the settings don't say.
    """
    base_url = settings.provision.base_url or settings.cention.base_url
    workspace = workspace_of(settings)
    for key, value in (("base_url", base_url), ("workspace", workspace)):
        if not value:
            raise CentreUnready(
                f"provision.{key}: is missing, and so is cention.{key}; set either in the file"
            )
    return f"{base_url}/s/{workspace}"


def workspace_of(settings: Settings) -> str:
    """Return the name of the workspace that is set up; empty where there is none."""
    return settings.provision.workspace or settings.cention.workspace


def check_key(settings: Settings) -> None:
    """See that there is something to sign with.

    Raises:
        CentreUnready: there is not.
    """
    for key in ("access_key_id", "access_key_secret"):
        if not getattr(settings.provision, key):
            raise CentreUnready(
                f"provision.{key}: is missing; make an access key in Cention, and put it into a"
                f" secret file named provision.{key}"
            )


def read_file(path: Path) -> Centre:
    """Read a centre's file.

    Raises:
        SettingsError: it can't be read, or something in it is wrong: one line a mistake, with the
            file's line.
    """
    document, text = read_toml(path)
    try:
        centre, mistakes = read_centre(document, find_lines(text))
    except RecursionError:
        raise SettingsError([f"{path}: is nested too deep to be read; write it flatter"]) from None
    if centre is None:
        raise SettingsError([f"{path}:{one.line}: {one.key}: {one.text}" for one in mistakes])
    return centre


def state_of(settings: Settings, engine: Engine) -> SqlCentreState:
    """Return what is known of the workspace.

    Raises:
        CentreUnready: the settings don't say which.
    """
    return SqlCentreState(engine, scope_of(settings), SystemClock())


def carry_out(
    settings: Settings, plan: Plan, state: SqlCentreState, tell: Callable[[Result], None]
) -> Outcome:
    """Do what a plan says. SIGINT and SIGTERM let the request that is on its way come back first.

    Raises:
        StoreError: what is known can't be kept.
        KeyboardInterrupt: asked for a second time; what was on its way stays noted.
    """
    return asyncio.run(_carry_out(settings, plan, state, tell))


async def _carry_out(
    settings: Settings, plan: Plan, state: SqlCentreState, tell: Callable[[Result], None]
) -> Outcome:
    clock = SystemClock()
    options = AdministrationOptions(
        scope=scope_of(settings),
        workspace=workspace_of(settings),
        key_id=secret_text(settings.provision.access_key_id),
        key_secret=secret_text(settings.provision.access_key_secret),
        struct_signing=settings.provision.struct_signing,
    )
    async with open_session() as session:
        with _stopping() as is_to_stop:
            provisioner = Provisioner(
                state=state,
                administration=AdministrationClient(Exchange(session, clock), options),
                clock=clock,
                pace=Pace(settings.provision.requests_per_minute, clock.monotonic()),
                tell=tell,
                is_to_stop=is_to_stop,
            )
            return await provisioner.apply(plan)


@contextlib.contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Note the first signal that asks to stop; the second ends at once."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        asked.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield asked.is_set
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
