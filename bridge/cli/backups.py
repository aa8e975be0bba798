"""`aventa-bridge backup` and `restore`: the store as it is now, and as it was then."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    YesOption,
    clock_time,
    confirm,
    counted,
    fail,
    print_json,
    read_settings,
    rfc3339,
)
from bridge.domain.errors import BackupFailed, StoreError, StoreUnavailable
from bridge.storage import restoring
from bridge.storage.backups import Progress, back_up
from bridge.storage.engine import DaemonLock, path_of
from bridge.storage.provisioning import ProvisionLock
from bridge.storage.restoring import Contents, Unpacked
from bridge.storage.tables import SCHEMA_HEAD

_CENTRE: Final = (
    "What `provision` set up after the backup was made is not known any more: compare"
    " `aventa-bridge provision state list` with Cention, and `provision import` what is"
    " missing before the next `provision apply`, which would make it twice."
)
# What takes longer is shown on a terminal.
_BAR_AFTER_S: Final = 1.0


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; .gz makes it smaller.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Write the store into one file, while the daemon goes on.

    Every event that was acknowledged before is in it, all that is still to be sent, and the files
    of answers. It is checked, written to the disk, and only then gets its name. It holds personal
    data: only its owner may read it. Settings and secrets are not in it.

    The file is a tar. While it is made, its folder needs room for the store twice.

    Exit codes: 0 done, 1 failed, 2 wrong usage or settings, or there is no store.

    Example: aventa-bridge backup /var/backups/aventa-bridge-$(date +%F).tar.gz
    """
    settings = read_settings(config, secrets_dir)
    started_s = time.monotonic()
    with _in_one_line(), bar("Backing up") as progress:
        made = back_up(
            settings.store.url,
            file,
            now_us=time.time_ns() // 1000,
            force=force,
            progress=progress,
        )
    seconds = round(time.monotonic() - started_s, 3)
    if json:
        print_json(
            {
                "path": str(made.path),
                "bytes": made.size_bytes,
                "schema": made.schema,
                "files": made.files,
                "damaged_files": made.left_out,
                "seconds": seconds,
            }
        )
    else:
        typer.echo(
            f"{made.path}: {made.size_bytes:,} bytes, schema {made.schema},"
            f" {counted(made.files, 'file')} of answers, {seconds:.1f} s"
        )
    if made.left_out:
        left_out = counted(made.left_out, "file")
        typer.echo(f"{left_out} of answers left out, being damaged: look at the disk.", err=True)


def restore(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A backup."),
    ],
    hold: Annotated[
        bool,
        typer.Option(
            "--hold", help="Hold for a person each errand that the backup has yet to make."
        ),
    ] = False,
    yes: YesOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Put a backup in the store's place, while no daemon runs.

    It is checked first. The store that it replaces stays beside it, as
    `bridge.db.before-restore-<time>`. A backup of an older release is brought to this one's schema
    at the next start.

    What the bridge did after the backup was made, it does not know any more:

    What waited in the backup is sent again at the next start, though most of it has arrived since.
    ERRANDS AND WHATSAPP MESSAGES MAY DOUBLE, whatever delivery.in_doubt says, for none of this is
    in doubt as far as the bridge can tell. With --hold they wait for a person instead:
    `dead-letters list` shows them, `dead-letters drop --arrived` counts one as delivered, and
    `dead-letters replay` sends it. Ends, contact cards and answers leave all the same; sent twice,
    they do no more than once. What a rule does for a call that is settled later is not held: how
    many there are is told at the end.

    Events that came after the backup are gone from the store. What had left by then is in Cention,
    what had not is lost, unless the phone system posts it again, as a new event.

    Exit codes: 0 done, 1 failed or not wanted, 2 wrong usage or settings.

    Example: aventa-bridge restore /var/backups/aventa-bridge-2026-05-01.tar.gz --hold
    """
    settings = read_settings(config, secrets_dir)
    started_s = time.monotonic()
    with _in_one_line():
        store = path_of(settings.store.url).absolute()
        with (
            _locked(settings.store.url, store),
            ProvisionLock(settings.store.url),
            bar("Checking") as progress,
            restoring.unpacked(file.absolute(), store, progress) as found,
        ):
            before = restoring.contents_of(store)
            if not json:
                _show(found, before)
            confirm(f"Put it in the place of {store}?", yes=yes)
            held = restoring.hold(found.database) if hold else 0
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            aside = restoring.put_in_place(found, store, f".before-restore-{moment}")
    if json:
        seconds = round(time.monotonic() - started_s, 3)
        print_json(_as_json(found, store, aside, held) | {"seconds": seconds})
        return
    _tell(found, store, aside, held)
    if found.contents.provisioned or (before is not None and before.provisioned):
        typer.echo(_CENTRE)


def _tell(found: Unpacked, store: Path, aside: Path | None, held: int) -> None:
    """Say what was done, and what to expect of it."""
    typer.echo(f"{store}: is what the backup has.")
    if aside is not None:
        typer.echo(f"What was there before is kept as {aside}; it holds personal data.")
    if held:
        errands = counted(held, "errand")
        typer.echo(f"Held for a person: {errands}; see `aventa-bridge dead-letters list`.")
    elif found.contents.waiting:
        typer.echo("What waits in it leaves at the next start, again if it had left since.")
    if found.contents.unsettled:
        calls = counted(found.contents.unsettled, "call")
        typer.echo(
            f"Yet to be settled in it: {calls}. Where a rule of yours acts on an abandoned call, it"
            " acts once more, and --hold does not hold that."
        )


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    # Nobody is to find half a backup: what is in the making is removed also where a timer's
    # patience ends, or the terminal goes.
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    for one, handler in before.items():
        # Under nohup it is to go on.
        if handler is not signal.SIG_IGN:
            signal.signal(one, lambda *_: sys.exit(1))
    try:
        yield
    except (BackupFailed, StoreUnavailable) as error:
        fail(str(error))
    except StoreError as error:
        fail(str(error), code=2)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _locked(url: str, store: Path) -> Iterator[None]:
    """Keep daemons out, and be kept out by one."""
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{store.parent}: can't be made ({error.strerror})")
    try:
        lock = DaemonLock(url)
    except StoreError as error:
        advice = "systemctl stop aventa-bridge.socket aventa-bridge.service"
        fail(f"{error}; stop it first ({advice})")
    try:
        restoring.own_as_folder(Path(f"{store}.lock"), store.parent)
        yield
    finally:
        lock.release()


def _clock_s() -> float:
    return time.monotonic()


@contextlib.contextmanager
def bar(label: str) -> Iterator[Progress]:
    """Show on a terminal, on standard error, how far something is, once it takes a while."""
    # Here, because the daemon does without rich.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.progress import Progress as Bar  # noqa: PLC0415 - see above

    started_s = _clock_s()
    shown = Bar(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    task = shown.add_task(label)

    def progress(done: int, total: int) -> None:
        if _clock_s() - started_s >= _BAR_AFTER_S:
            shown.start()
        shown.update(task, completed=done, total=total)
        if done >= total:
            # Whatever comes next may be a question.
            shown.stop()

    try:
        yield progress
    finally:
        shown.stop()


def _show(found: Unpacked, before: Contents | None) -> None:
    typer.echo(f"The backup{_of(found.made_us)}: {_told(found.contents)}.")
    if found.contents.schema != SCHEMA_HEAD:
        typer.echo(
            f"It has schema {found.contents.schema}; the next start brings it to {SCHEMA_HEAD}."
        )
    typer.echo(f"The store now: {_told(before) if before else 'none that can be read'}.")


def _of(made_us: int | None) -> str:
    return f" of {clock_time(made_us)}" if made_us else ""


def _told(contents: Contents) -> str:
    waiting = sum(contents.waiting.values())
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(contents.waiting.items()))
    newest = clock_time(contents.newest_us) or "never"
    return (
        f"{counted(contents.events, 'event')}, the newest {newest};"
        f" {counted(waiting, 'delivery', 'deliveries')} waiting{f' ({kinds})' if kinds else ''},"
        f" {contents.stopped:,} stopped"
    )


def _as_json(found: Unpacked, store: Path, aside: Path | None, held: int) -> dict[str, object]:
    contents = found.contents
    return {
        "path": str(store),
        "replaced": str(aside) if aside else None,
        "made_at": rfc3339(found.made_us),
        "schema": contents.schema,
        "events": contents.events,
        "newest_event_at": rfc3339(contents.newest_us),
        "waiting": dict(sorted(contents.waiting.items())),
        "stopped": contents.stopped,
        "unsettled_calls": contents.unsettled,
        "provisioned": contents.provisioned,
        "held": held,
        "files": len(found.files),
    }
