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

    async def answer(self, errand_id: int | str, **wanted: Any) -> Any:
        """Have an errand answered; return what the page answers (`bridge.sandbox.readback`).

        Raises:
            aiohttp.ClientResponseError: there is no such errand, or what is wanted is wrong.
        """
        return await self._ask("POST", f"errands/{errand_id}/answer", wanted)

    async def set_callback(self, url: str, secret: str = "") -> None:
        """Have callbacks sent to an address from now on; an empty one sends none.

        Raises:
            aiohttp.ClientResponseError: it is no http or https URL.
        """
        await self._ask("PUT", "callback", {"url": url, "secret": secret})

    async def resend(self, callback_id: int | str) -> Any:
        """Have a callback sent again; return its id and the receiver's status.

        Raises:
            aiohttp.ClientResponseError: there is no such callback.
        """
        return await self._ask("POST", f"callbacks/{callback_id}/resend")

    async def make_rating(self, **wanted: Any) -> str:
        """Have a Facebook rating made; return its id.

        Raises:
            aiohttp.ClientResponseError: what is wanted is wrong.
        """
        made = await self._ask("POST", "ratings", wanted)
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
