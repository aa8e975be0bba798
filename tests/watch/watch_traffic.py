"""A busy morning: calls, and whatever else a centre sees, so that every series exists."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import aiohttp
from watch_site import Site

from bridge.sandbox.aventa import CallScript, RunOptions, run_calls

CALLS_PER_SECOND: Final = 8.0
GAP_S: Final = 0.4
_AGENT: Final = {"deviceId": 1001, "extensionId": 2001}
_NUMBERS: Final = ("+46701234567", "anonymous", "+46701", "+60123456789")


def event(kind: str, reference: str, **more: Any) -> dict[str, Any]:
    """Return an event that has just happened."""
    return {
        "eventId": uuid.uuid4().hex,
        "eventType": kind,
        "occurredAt": datetime.now(UTC).isoformat(),
        "referenceId": reference,
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "4301",
        **more,
    }


@contextlib.asynccontextmanager
async def traffic(site: Site) -> AsyncIterator[None]:
    """Let calls come, and all the rest, for as long as this lasts."""
    tasks = [asyncio.create_task(_calls(site)), asyncio.create_task(_beside(site))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _calls(site: Site) -> None:
    script = CallScript(Random(), started_at=datetime.now(UTC))  # noqa: S311 - made-up calls
    options = RunOptions(
        url=site.events_url, calls=0, rate=CALLS_PER_SECOND, gap_seconds=GAP_S, attempts=1000
    )
    await run_calls(site.session, script, options)


async def _beside(site: Site) -> None:
    """Post odd events, answer errands, rate; what the daemon or Cention can't take is left."""
    answered: set[str] = set()
    for turn in itertools.count():
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            await _odd_events(site, turn)
            await _answers(site, answered)
            await site.pages.make_rating(rating=1 + turn % 5)
        await asyncio.sleep(1.0)


async def _odd_events(site: Site, turn: int) -> None:
    reference = f"odd-{uuid.uuid4().hex[:12]}"
    number = _NUMBERS[turn % len(_NUMBERS)]
    kind = "callback.requested" if turn % 2 else "voicemail.left"
    asked = event(kind, reference, callerNumber=number, novelty=1)
    await site.post(asked)
    # The same again, another by its name, and what is none at all.
    await site.post(asked)
    await site.post({**asked, "callerName": "Somebody else"})
    await site.post({**asked, "eventId": uuid.uuid4().hex, "eventType": "call.sung"})
    back = f"back-{reference}"
    ended = {"relatedReferenceId": reference, "outcome": "completed", **_AGENT}
    await site.post(event("outbound.answered", back, relatedReferenceId=reference, **_AGENT))
    await site.post(event("outbound.ended", back, dialedNumber="+46701234567", **ended))
    # Nobody answered, and Cention can't end without an agent what was never begun with one.
    alone = f"alone-{reference}"
    await site.post(event("call.answered", alone, callerNumber=number))
    await site.post(event("call.ended", alone))


async def _answers(site: Site, answered: set[str]) -> None:
    for errand in (await site.pages.errands())[-40:]:
        errand_id = str(errand["id"])
        if errand_id not in answered and len(answered) % 3 == 0:
            await site.pages.answer(errand_id, body="Hello", tags=["invoice"])
        answered.add(errand_id)
