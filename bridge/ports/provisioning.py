"""What setting a centre up asks of the outside: the administration API, and what is known."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bridge.domain.centre_outcomes import Told
from bridge.domain.centre_plan import Record, Standing
from bridge.domain.centre_values import Kind, Ref


class Administration(Protocol):
    """Cention's administration API, of one workspace. Raises nothing."""

    async def create(self, kind: Kind, body: Mapping[str, Any]) -> Told:
        """Make something."""
        ...

    async def update(self, kind: Kind, remote_id: int, body: Mapping[str, Any]) -> Told:
        """Change some fields of something."""
        ...

    async def delete(self, kind: Kind, remote_id: int) -> Told:
        """Delete something."""
        ...


class CentreState(Protocol):
    """What is known of a workspace. Each call is on disk when it returns."""

    def records(self) -> Sequence[Record]:
        """Return all that is known."""
        ...

    def note(self, ref: Ref, standing: Standing, pending: Mapping[str, Any]) -> None:
        """Note what is about to be sent."""
        ...

    def settle(self, ref: Ref, remote_id: int, fields: Mapping[str, Any]) -> None:
        """Note that something is there, with this id and these fields."""
        ...

    def withdraw(self, ref: Ref) -> None:
        """Take back what was noted: it was not done. What was never made is forgotten."""
        ...

    def forget(self, ref: Ref) -> None:
        """Note that something is not there."""
        ...
