"""`aventa-bridge simulate`: posts made-up Aventa calls to a bridge."""

import asyncio
import contextlib
import secrets
import sys
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.sandbox.aventa import Posted, RunOptions, RunStatistics

DEFAULT_URL: Final = "http://127.0.0.1:8080/v1/events"
SEEDS: Final = 2**32


def simulate(
    url: Annotated[str, typer.Option(help="The bridge's events URL.")] = DEFAULT_URL,
    calls: Annotated[int, typer.Option(min=1, help="How many whole calls to post.")] = 10,
    rate: Annotated[float, typer.Option(min=0.01, help="Calls a second.")] = 2.0,
    seed: Annotated[
        int | None, typer.Option(help="Makes the same callers again (default: by chance).")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="Bearer token, where the bridge asks for one.", envvar="AVENTA_TOKEN"),
    ] = None,
    answered_only: Annotated[
        bool, typer.Option("--answered-only", help="No abandoned or transferred calls.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Post made-up Aventa calls to a bridge, each event in its order.

    Exits with 1 if anything could not be posted.

    Example: aventa-bridge simulate --calls 100 --rate 5
    """
    # Here and not above, since `run` has no use for them and imports are memory.
    from bridge.sandbox.aventa import CallScript, RunOptions  # noqa: PLC0415

    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--url")
    chosen_seed = secrets.randbelow(SEEDS) if seed is None else seed
    script = CallScript(
        Random(chosen_seed),  # noqa: S311 - made-up calls, no secrets
        started_at=datetime.now(UTC),
        answered_only=answered_only,
    )
    options = RunOptions(url=url, calls=calls, rate=rate, token=token)
    with _progress(calls) as on_posted:
        statistics = asyncio.run(_post(script, options, on_posted))
    summary = _summary(statistics, chosen_seed)
    if as_json:
        _print_json(summary)
    else:
        for label, value in summary.items():
            if label != "failures":
                typer.echo(f"{label.replace('_', ' '):<20} {value}")
    for failure in statistics.failures:
        typer.echo(failure, err=True)
    if statistics.calls_failed:
        raise typer.Exit(1)


async def _post(
    script: Any, options: "RunOptions", on_posted: "Callable[[Posted], None] | None"
) -> "RunStatistics":
    import aiohttp  # noqa: PLC0415

    from bridge.sandbox.aventa import run_calls  # noqa: PLC0415

    async with aiohttp.ClientSession() as session:
        return await run_calls(session, script, options, on_posted=on_posted)


@contextlib.contextmanager
def _progress(calls: int) -> "Iterator[Callable[[Posted], None] | None]":
    """Show a progress bar on a terminal, on standard error; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Posting calls", total=calls)

        def on_posted(posted: "Posted") -> None:
            statistics = posted.statistics
            progress.update(task, completed=statistics.calls_posted + statistics.calls_failed)

        yield on_posted


def _summary(statistics: "RunStatistics", seed: int) -> dict[str, Any]:
    from bridge.sandbox.figures import Latency  # noqa: PLC0415

    latency = Latency.of(statistics.latencies)
    return {
        "calls_posted": statistics.calls_posted,
        "calls_failed": statistics.calls_failed,
        "events_posted": statistics.events_posted,
        "events_duplicate": statistics.events_duplicate,
        "retries": statistics.retries,
        "latency_p50_ms": _milliseconds(latency.p50),
        "latency_p99_ms": _milliseconds(latency.p99),
        "seed": seed,
        "failures": list(statistics.failures),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _print_json(value: Any) -> None:
    import orjson  # noqa: PLC0415

    typer.echo(orjson.dumps(value))
