"""Time, randomness, logs and figures, as the services ask for them."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bridge.domain.deliveries import Kind, Unsent
from bridge.domain.outcomes import Promptness, Reply
from bridge.ports.tracing import Exemplar


class Clock(Protocol):
    """Time. Every wait and every time-out of the bridge goes through it.

    `now_us` goes as steadily as `monotonic`: where somebody sets the machine's clock, `drift_us`
    says by how much, and it is for `services.upkeep` to move what waits along with it.
    """

    def now_us(self) -> int:
        """Return the time in microseconds since 1970."""
        ...

    def drift_us(self) -> int:
        """Return by how many microseconds the machine's clock was set, since it was followed."""
        ...

    def follow(self, drift_us: int) -> None:
        """Move `now_us` on by so much."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring and waiting."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError when it lasts longer."""
        ...


class Entropy(Protocol):
    """Randomness."""

    def random(self) -> float:
        """Return a number, 0 <= number < 1."""
        ...


class Log(Protocol):
    """Structured logging. Fields never hold personal data or secrets."""

    def debug(self, event: str, **fields: object) -> None:
        """Say something of use while looking for a fault."""
        ...

    def info(self, event: str, **fields: object) -> None:
        """Say what happened."""
        ...

    def warning(self, event: str, **fields: object) -> None:
        """Say that something is odd, and the bridge copes."""
        ...

    def error(self, event: str, **fields: object) -> None:
        """Say that a person should look."""
        ...


class Meter(Protocol):
    """What the services count and measure; `ops.metrics` says what each becomes."""

    def event(self, event_type: str, outcome: str, count: int = 1) -> None:
        """Count events by type and outcome: accepted, duplicate or rejected."""
        ...

    def number(self, field: str, result: str, count: int = 1) -> None:
        """Count phone numbers that were read."""
        ...

    def unknown_keys(self, count: int) -> None:
        """Count top-level keys that nobody knows."""
        ...

    def contact(self, outcome: str) -> None:
        """Count what became of a contact: created, updated, unchanged or conflict."""
        ...

    def call(self, outcome: str) -> None:
        """Count how a call ended that no errand tells of: abandoned or stale."""
        ...

    def end_skipped(self, count: int) -> None:
        """Count ends that Cention could not understand, for want of an agent."""
        ...

    def unsent(self, reason: Unsent) -> None:
        """Count a WhatsApp template that was not sent, by why."""
        ...

    def delivery(self, kind: Kind, outcome: str) -> None:
        """Count an attempt by what came of it."""
        ...

    def upstream(self, kind: Kind, reply: Reply, exemplar: Exemplar | None = None) -> None:
        """Measure a request by its status and time."""
        ...

    def delivered(self, kind: Kind, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Measure the time from an event's acceptance to its delivery."""
        ...

    def prompt(self, result: Promptness) -> None:
        """Count an errand by whether it was delivered in time."""
        ...

    def read(self, what: str, reply: Reply) -> None:
        """Measure a reading request by its status and time."""
        ...

    def lookup(self, outcome: str) -> None:
        """Count what came of looking a delivery up: found, absent or held."""
        ...

    def breaker(self, upstream: str, state: int) -> None:
        """Show a circuit breaker: 0 closed, 1 half-open, 2 open."""
        ...
