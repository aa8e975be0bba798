"""The real fault that each alert is about, brought about, until Prometheus says that it fires."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from watch_prometheus import NotHereError, Prometheus, WatchError
from watch_site import ROUTES, Site, SmallDisk
from watch_traffic import event, traffic

WITHIN_S: Final = 75.0
# How many starts are flapping, and for how long each daemon lives: until it was scraped.
STARTS: Final = 4
LIFE_S: Final = 1.5
_EVERY_S: Final = 0.25
_MIXED_S: Final = 20.0
QUIET_S: Final = 15.0
_NEW: Final = "c3_new_errands"
# The one fault that wants more of the machine than a process of one's own.
_DISK: Final = "BridgeDiskFilling"


@dataclass
class Faults:
    """Brings faults about, one after the other.

    `fired` takes each alert as it was told of, `untried` why a fault is not to be had, by alert.
    """

    site: Site
    prometheus: Prometheus
    folder: Path
    say: Callable[[str], None]
    fired: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    untried: dict[str, str] = field(default_factory=dict)

    async def all(self) -> None:
        """Bring about all, with calls going on as long as they can."""
        async with traffic(self.site):
            self.say("calls; a token has five days left")
            await self._until("BridgeTokenExpires")
            await self._quiet()
            # What is late is remembered for longest, so nothing else may have been late before.
            await self._try(self._slow)
            await self._busy()
            for fault in (self._dead, self._throttled, self._away, self._refused):
                await self._try(fault)
            await self._try(self._mended)
            await self._quiet()
        await self._try(self._mute)
        await self._try(self._full)
        await self._try(self._flapping)
        await self._try(self._gone)

    async def _quiet(self) -> None:
        self.say(f"{QUIET_S:.0f} s of nothing but calls")
        await asyncio.sleep(QUIET_S)

    async def _try(self, fault: Callable[[], Awaitable[None]]) -> None:
        try:
            await fault()
        except NotHereError as error:
            self.say(str(error))
            self.untried[_DISK] = str(error)
        except WatchError as error:
            self.say(str(error))
            self.problems.append(str(error))
        finally:
            await self.site.pages.set_faults([])

    async def _busy(self) -> None:
        """Let a fifth of all requests meet something that goes wrong at a site."""
        self.say("calls, and a fifth of all requests goes wrong")
        await self.site.pages.set_faults({"preset": "mixed", "rate": 0.2})
        await asyncio.sleep(_MIXED_S)
        await self.site.pages.set_faults([])

    async def _dead(self) -> None:
        rule = {"kinds": [_NEW], "status": 422, "probability": 0.3}
        await self._cause("Cention refuses errands for good", rule, "BridgeDeadLetters")

    async def _throttled(self) -> None:
        rule = {"status": 429, "retry_after": 20, "times": 1}
        await self._cause("Cention asks for a pause", rule, "BridgeBacklogOld")

    async def _slow(self) -> None:
        rule = {"kinds": [_NEW], "delay_seconds": 4}
        names = "BridgeErrandsLate", "BridgeErrandsLateSlowly"
        await self._cause("Cention takes four seconds for an errand", rule, *names)

    async def _away(self) -> None:
        await self._cause("Cention is away", {"outage_seconds": WITHIN_S}, "BridgeUpstreamAway")

    async def _refused(self) -> None:
        rule = {"kinds": [_NEW], "status": 401}
        await self._cause("Cention refuses the token", rule, "BridgeRouteRefused")

    async def _mended(self) -> None:
        self.say("somebody lets the routes be tried again")
        for route in ROUTES:
            await self.site.command("routes", "resume", route)
        await self._calm("BridgeRouteRefused")

    async def _mute(self) -> None:
        await self._calm("BridgeNoEvents")
        self.say("the phone system says nothing")
        await self._until("BridgeNoEvents")

    async def _full(self) -> None:
        await self._calm(_DISK)
        self.say("a daemon on a small disk, which somebody else fills")
        folder = self.folder / "small"
        folder.mkdir()
        small = await SmallDisk.start(folder, self.site.session)
        try:
            self.prometheus.watch(small.url)
            small.fill()
            await self._until(_DISK)
        finally:
            self.prometheus.leave(small.url)
            await small.stop()

    async def _flapping(self) -> None:
        await self._calm("BridgeFlapping")
        self.say("the daemon crashes and is started again, and again")
        for _ in range(STARTS):
            await self.site.kill()
            await self.site.start()
            # Calls go on: what was kept before is sent after.
            await self.site.post(event("call.queued", f"again-{time.monotonic_ns()}"))
            await asyncio.sleep(LIFE_S)
        await self._until("BridgeFlapping")

    async def _gone(self) -> None:
        await self._calm("BridgeAbsent")
        self.say("the daemon is gone")
        await self.site.kill()
        await self._until("BridgeAbsent")

    async def _cause(self, what: str, rule: dict[str, Any], *names: str) -> None:
        """Have the sandbox do something until alerts fire that were silent before.

        Raises:
            WatchError: they were not, or don't.
        """
        await self._calm(*names)
        self.say(what)
        await self.site.pages.set_faults([rule])
        await self._until(*names)

    async def _calm(self, *names: str) -> None:
        """Wait until none of these alerts is about to fire, so that what comes then has one cause.

        Raises:
            WatchError: one goes on.
        """
        await self._wait(
            f"go on: {', '.join(names)}", lambda alerts: not names_of(alerts) & {*names}
        )

    async def _until(self, *names: str) -> None:
        """Wait until all of these alerts fire.

        Raises:
            WatchError: one doesn't.
        """

        def fire(alerts: Sequence[dict[str, Any]]) -> bool:
            firing = [one for one in alerts if one["state"] == "firing"]
            self.fired |= {
                name: one for one in firing if (name := one["labels"]["alertname"]) in names
            }
            return names_of(firing) >= {*names}

        await self._wait(f"don't fire: {', '.join(names)}", fire)

    async def _wait(self, what: str, until: Callable[[Sequence[dict[str, Any]]], bool]) -> None:
        end_s = time.monotonic() + WITHIN_S
        while not until(await self.prometheus.alerts()):
            if time.monotonic() > end_s:
                raise WatchError(what)
            await asyncio.sleep(_EVERY_S)


def names_of(alerts: Sequence[dict[str, Any]]) -> set[str]:
    """Return the names of alerts."""
    return {one["labels"]["alertname"] for one in alerts}


def missing_annotations(fired: dict[str, dict[str, Any]]) -> Sequence[str]:
    """Return what is wrong with the words of alerts that have fired."""
    wrong = []
    for name, alert in fired.items():
        words = alert["annotations"]
        wrong += [
            f"{name}: no {one}"
            for one in ("summary", "description", "runbook_url")
            if not words.get(one)
        ]
        wrong += [f"{name}: {text}" for text in words.values() if "<" in text or "{{" in text]
    return wrong
