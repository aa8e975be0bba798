"""`aventa-bridge demo`: the whole bridge on this machine."""

import asyncio
import secrets
import sys
import time
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bridge.sandbox.demo import DemoOptions, DemoResult
    from bridge.sandbox.verdict import Snapshot

SEEDS: Final = 2**32
LINE_SECONDS: Final = 3.0


def demo(
    calls: Annotated[
        int, typer.Option(min=0, help="End after so many whole calls; 0 goes on until Ctrl-C.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=0.01, help="Calls a second.")] = 2.0,
    seed: Annotated[
        int | None, typer.Option(help="Makes the same callers again (default: by chance).")
    ] = None,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults",
            help="Let a fifth of the requests to the stand-in for Cention fail while calls are"
            " posted: busy, too many requests, slow; ends and cards also with errors and lost"
            " connections. Errands fail only in ways that leave no doubt whether they were made:"
            " the bridge would send one in doubt again, and it could arrive twice.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run the whole bridge on this machine: daemon, sandbox and simulated calls.

    With --calls it ends by itself, and exits with 0 only if every call arrived
    exactly once: one errand, and one end after it.

    Example: aventa-bridge demo --calls 50
    """
    # Here and not above, since `run` has no use for them and imports are memory.
    from bridge.sandbox.daemon import DaemonError  # noqa: PLC0415
    from bridge.sandbox.demo import DemoOptions  # noqa: PLC0415

    chosen_seed = secrets.randbelow(SEEDS) if seed is None else seed
    options = DemoOptions(calls=calls, rate=rate, seed=chosen_seed, faults=faults)
    try:
        result = asyncio.run(_run(options, quiet=as_json))
    except DaemonError as error:
        typer.echo(str(error), err=True)
        for line in error.lines:
            typer.echo(f"  {line}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        _print_json(result)
    else:
        _print_summary(result)
    if not result.ok:
        raise typer.Exit(1)


async def _run(options: "DemoOptions", *, quiet: bool) -> "DemoResult":
    from bridge.sandbox.demo import run_demo  # noqa: PLC0415
    from bridge.sandbox.serve import stop_on_signals  # noqa: PLC0415

    is_live = sys.stdout.isatty() and not quiet
    with stop_on_signals() as stop, _LiveView() if is_live else _LinesView() as view:
        return await run_demo(options, view, stop)


class _LinesView:
    """A line every few seconds on standard error, where nobody watches a screen."""

    def __init__(self) -> None:
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to put away."""

    def open(self, addresses: dict[str, str]) -> None:
        for label, address in addresses.items():
            typer.echo(f"{label}: {address}", err=True)

    def update(self, snapshot: "Snapshot") -> None:
        if time.monotonic() - self._shown_at >= LINE_SECONDS:
            self._shown_at = time.monotonic()
            typer.echo(snapshot.line(), err=True)


class _LiveView:
    """A table on a terminal that is drawn anew with each snapshot."""

    def __init__(self) -> None:
        from rich.live import Live  # noqa: PLC0415

        self._live = Live(auto_refresh=False, transient=True)
        self._addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._live.start()
        self._live.update("Starting the daemon …", refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def open(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses

    def update(self, snapshot: "Snapshot") -> None:
        rows = [*snapshot.rows(), ("", ""), *self._addresses.items()]
        title = f"The bridge, {snapshot.elapsed_seconds:.0f} s (Ctrl-C stops it)"
        self._live.update(_table(title, rows), refresh=True)


def _table(title: str, rows: list[tuple[str, str]]) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, title_justify="left", show_header=False)
    for label, value in rows:
        table.add_row(label, value)
    return table


def _print_summary(result: "DemoResult") -> None:
    from rich.console import Console  # noqa: PLC0415

    rows = result.snapshot.rows()
    if result.verdict is not None:
        rows.extend(result.verdict.rows())
    Console().print(_table("Summary", rows))
    for problem in result.problems:
        typer.echo(problem, err=True)
    if result.verdict is not None and result.ok:
        typer.echo(f"Each of {result.verdict.calls} calls arrived exactly once.")


def _print_json(result: "DemoResult") -> None:
    import orjson  # noqa: PLC0415

    document: dict[str, Any] = {
        "ok": result.ok,
        "snapshot": asdict(result.snapshot),
        "verdict": None if result.verdict is None else asdict(result.verdict),
        "problems": list(result.problems),
    }
    typer.echo(orjson.dumps(document))
