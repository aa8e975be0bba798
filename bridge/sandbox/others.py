"""Errands that others make in Cention beside the bridge, and that have to stay as they leave them.

Reading an errand's report takes it off the list of changed ones, which others read as well; so
whatever the bridge reads while it looks for its own errands it has to put back.
"""

import asyncio
from typing import Final

from bridge.sandbox.pages import SandboxPages

AT_START: Final = 20
EVERY_SECONDS: Final = 1.0


class Others:
    """Errands made by others. `ids` are those that have to be listed as changed."""

    def __init__(self, pages: SandboxPages) -> None:
        self.ids: list[str] = []
        self._pages = pages

    async def begin(self) -> None:
        """Make those that were there before the run."""
        for _ in range(AT_START):
            await self._make()

    async def go_on(self) -> None:
        """Make another one now and then, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._make()

    async def cleared(self) -> tuple[str, ...]:
        """Return which of them are no longer listed as changed."""
        if not self.ids:
            return ()
        dirty = await self._pages.dirty()
        return tuple(errand_id for errand_id in self.ids if errand_id not in dirty)

    async def _make(self) -> None:
        self.ids.append(await self._pages.make_errand())
