"""Asks a sandbox for what it was sent, and tells it what to do: its pages under `/_sandbox`."""

from typing import Any, Final

import aiohttp
import orjson

REQUEST_SECONDS_MAX: Final = 30.0


class SandboxPages:
    """The pages of one sandbox; each call raises `aiohttp.ClientError` where it does not answer."""

    def __init__(self, session: aiohttp.ClientSession, sandbox_url: str) -> None:
        self.url = f"{sandbox_url}/_sandbox"
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)

    async def summary(self, *, with_references: bool = False) -> Any:
        """Return the counts, and on demand what was done for each reference."""
        return await self._ask("GET", f"summary?references={int(with_references)}")

    async def errands(self, after: int = 0) -> Any:
        """Return errands with a higher id, the oldest first."""
        return await self._ask("GET", f"errands?after={after}")

    async def dirty(self) -> frozenset[str]:
        """Return the ids of the errands that are listed as changed, of all workspaces."""
        listed = await self._ask("GET", "dirty")
        return frozenset(str(errand_id) for ids in listed.values() for errand_id in ids)

    async def make_errand(self) -> str:
        """Have an errand made that is none of the bridge's; return its id."""
        made = await self._ask("POST", "errands", {})
        return str(made["id"])

    async def set_faults(self, faults: Any) -> None:
        """Put rules or a preset in force; no rules end those in force.

        Raises:
            aiohttp.ClientResponseError: they are wrong.
        """
        await self._ask("POST", "faults", faults)

    async def _ask(self, method: str, page: str, document: Any = None) -> Any:
        body = None if document is None else orjson.dumps(document)
        async with self._session.request(
            method, f"{self.url}/{page}", data=body, timeout=self._timeout, raise_for_status=True
        ) as response:
            return orjson.loads(await response.read())
