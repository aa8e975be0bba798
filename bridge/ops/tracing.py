"""Traces, if a site wants them: what makes them is loaded then, and not before."""

from typing import Final, Protocol

from bridge.ports import NO_TRACER, Clock, Log, Tracer


class Tracing(Protocol):
    """What traces, and what becomes of what was traced."""

    @property
    def tracer(self) -> Tracer:
        """Who makes spans."""
        ...

    async def close(self, within_s: float) -> None:
        """Export what is left, for so long at most."""
        ...


class NoTracing:
    """Nothing is traced."""

    tracer: Final[Tracer] = NO_TRACER

    async def close(self, _within_s: float) -> None:
        """Export nothing."""


def open_tracing(
    endpoint: str | None,
    *,
    service: str,
    sample_ratio: float,
    clock: Clock,
    log: Log,
) -> Tracing:
    """Return what traces and exports over OTLP/HTTP to this base URL; None: nothing does.

    Args:
        endpoint: where the collector is; `/v1/traces` is added.
        service: what the bridge is called there.
        sample_ratio: the share of traces that the bridge begins itself which are kept, 0…1.
        clock: what spans go by, as logs do.
        log: is told when exporting begins to fail, and when it works again.

    Raises:
        ImportError: the extra `otel` is not installed.
    """
    if endpoint is None:
        return NoTracing()
    from bridge.ops.otel import OtelTracing  # noqa: PLC0415 - megabytes that few need

    return OtelTracing(endpoint, service=service, sample_ratio=sample_ratio, clock=clock, log=log)
