"""`aventa-bridge demo`: the whole bridge on this machine."""

import asyncio
import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bridge.sandbox.demo import DemoOptions, DemoResult
    from bridge.sandbox.figures import Snapshot
    from bridge.sandbox.scenario import Faults

SEEDS: Final = 2**32
# The stand-in keeps more than that many errands, with all that was done for each.
CALLS_MAX: Final = 100_000
KILLS_MAX: Final = 1000
LINE_SECONDS: Final = 3.0
# Wide enough for a row a line where there is no terminal to ask.
WIDTH_WITHOUT_TERMINAL: Final = 200


CallsOption = Annotated[
    int,
    typer.Option(
        min=0, max=CALLS_MAX, help="End after so many whole calls; 0 goes on until Ctrl-C."
    ),
]
RateOption = Annotated[float, typer.Option(min=0.01, help="Calls a second.")]
SeedOption = Annotated[
    int | None,
    typer.Option(help="Makes the same callers, faults and kills again (default: by chance)."),
]
FaultsOption = Annotated[
    bool,
    typer.Option(
        "--faults",
        help="Let a fifth of the requests to the stand-in for Cention fail in all the ways that"
        " are met at a site: busy, too many requests, slow, errors with and without effect,"
        " lost answers and connections, and what is still done after the connection was lost.",
    ),
]
FaultRateOption = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="Let this share fail (with --faults: 0.2).", show_default=False
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        help="How they fail: mixed (in all ways) or no_doubt (only such that it is known whether"
        " an errand was made).",
        show_default=False,
    ),
]
FaultKindOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Let only requests of this type fail, as c3_new_errands; may be repeated.",
        show_default=False,
    ),
]
KillsOption = Annotated[
    int,
    typer.Option(
        min=0, max=KILLS_MAX, help="Kill the daemon (kill -9) so often while calls are posted."
    ),
]
PerMinuteOption = Annotated[
    int, typer.Option(min=60, max=1_000_000, help="Requests that the stand-in takes in 60 seconds.")
]
InFlightOption = Annotated[
    int, typer.Option(min=1, max=1000, help="Requests under way at a time, at most.")
]
SettleOption = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=3600,
        help="After so many seconds an errand in doubt is believed not to have been made.",
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(help="Keep the daemon's store and log in this folder.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def demo(  # noqa: PLR0913 - each is an option
    calls: CallsOption = 0,
    rate: RateOption = 2.0,
    *,
    seed: SeedOption = None,
    faults: FaultsOption = False,
    fault_rate: FaultRateOption = None,
    faults_preset: PresetOption = None,
    fault_kind: FaultKindOption = None,
    kills: KillsOption = 0,
    requests_per_minute: PerMinuteOption = 1000,
    in_flight: InFlightOption = 32,
    settle_seconds: SettleOption = 5.0,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole bridge on this machine: daemon, sandbox and simulated calls.

    With --calls it ends by itself, and exits with 0 only if every call arrived
    exactly once: one errand, and one end after it. With faults or kills, errands of
    others are made as well, and have to be left as they were.

    Example: aventa-bridge demo --calls 50 --faults
    """
    # Here and not above, since `run` has no use for them and imports are memory.
    from bridge.sandbox.daemon import DaemonError  # noqa: PLC0415
    from bridge.sandbox.demo import DemoOptions  # noqa: PLC0415

    options = DemoOptions(
        calls=calls,
        rate=rate,
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        faults=_faults(fault_rate, faults_preset, fault_kind, wanted=faults),
        kills=kills,
        requests_per_minute=requests_per_minute,
        in_flight_max=in_flight,
        settle_seconds=settle_seconds,
        folder=folder,
    )
    _check(options)
    try:
        result = asyncio.run(_run(options, quiet=as_json))
    except DaemonError as error:
        typer.echo(str(error), err=True)
        for line in error.lines:
            typer.echo(f"  {line}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        _print_json(result, options.seed)
    else:
        _print_summary(result, options.seed)
    if not result.ok:
        raise typer.Exit(1)


def _faults(
    rate: float | None, preset: str | None, kinds: list[str] | None, *, wanted: bool
) -> "Faults | None":
    """Return the faults that were asked for; whoever says more of them wants some."""
    from bridge.sandbox.presets import MIXED  # noqa: PLC0415
    from bridge.sandbox.scenario import FAULT_RATE, Faults  # noqa: PLC0415

    if not wanted and rate is None and preset is None and not kinds:
        return None
    return Faults(
        preset=MIXED if preset is None else preset,
        rate=FAULT_RATE if rate is None else rate,
        kinds=tuple(kinds or ()),
    )


def _check(options: "DemoOptions") -> None:
    """Refuse what could not end well."""
    from bridge.sandbox.kinds import CLAIMS  # noqa: PLC0415
    from bridge.sandbox.presets import LATE_EFFECT_SECONDS, MIXED, PRESETS  # noqa: PLC0415

    faults = options.faults
    if faults is not None and faults.preset not in PRESETS:
        raise typer.BadParameter(f"must be {' or '.join(PRESETS)}", param_hint="--faults-preset")
    if faults is not None and not CLAIMS.keys() >= set(faults.kinds):
        raise typer.BadParameter(f"must be one of {', '.join(CLAIMS)}", param_hint="--fault-kind")
    if options.kills and not options.calls:
        raise typer.BadParameter("needs --calls", param_hint="--kills")
    is_mixed = faults is not None and faults.preset == MIXED
    if is_mixed and options.settle_seconds <= LATE_EFFECT_SECONDS:
        raise typer.BadParameter(
            f"must be more than {LATE_EFFECT_SECONDS:g}: so late the faults may still make an"
            " errand",
            param_hint="--settle-seconds",
        )
    if options.folder is not None and (options.folder / "bridge.db").exists():
        raise typer.BadParameter("holds a store already; name another", param_hint="--folder")


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


def _print_summary(result: "DemoResult", seed: int) -> None:
    from rich.console import Console  # noqa: PLC0415

    rows = [*result.snapshot.rows(), ("seed", str(seed))]
    if result.verdict is not None:
        rows.extend(result.verdict.rows())
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_TERMINAL)
    console.print(_table("Summary", rows))
    for problem in result.problems:
        typer.echo(problem, err=True)
    if result.verdict is not None and result.ok:
        typer.echo(f"Each of {result.verdict.calls} calls arrived exactly once.")


def _print_json(result: "DemoResult", seed: int) -> None:
    import orjson  # noqa: PLC0415

    document: dict[str, Any] = {
        "ok": result.ok,
        "seed": seed,
        "snapshot": asdict(result.snapshot),
        "verdict": None if result.verdict is None else asdict(result.verdict),
        "problems": list(result.problems),
    }
    typer.echo(orjson.dumps(document))
