"""A bench whose errands in doubt are looked up at a Cention by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench import Bench, bench, document

from bridge.services.recording import DispatchPolicy
from bridge.storage import stories

ANSWERED = document("call.answered", callerNumber="anonymous")
ENDED = document("call.ended")
OTHERS = "Hello,\nmy parcel has not come."


@asynccontextmanager
async def looking(folder: Path, *, is_running: bool = True) -> AsyncIterator[Bench]:
    """Open a bench whose errands in doubt are looked up at a Cention by hand."""
    policy = DispatchPolicy(in_doubt="reconcile")
    async with bench(folder, policy=policy, sender=lambda on: on.cention) as on:
        await on.dispatcher.recover()
        if is_running:
            on.start()
            on.look_up()
        yield on


def stands(on: Bench, reference: str = "r1") -> list[tuple[str, str, str]]:
    """Return kind, state and errand id of a call's deliveries."""
    with on.engine.connect() as connection:
        story = stories.story(connection, reference)
    return [(row["kind"], row["state"], row["remote_id"]) for row in story["deliveries"]]
