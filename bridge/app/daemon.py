"""A running bridge: every part made and wired, then run until a signal ends it in order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from msgspec.structs import replace
from sqlalchemy import Engine

from bridge.app import wiring
from bridge.app.entrance import Entrance
from bridge.app.gauges import StoreGauges
from bridge.app.readiness import dependencies
from bridge.app.reception import Reception
from bridge.app.senders import Senders
from bridge.app.way_back import Kept, WayBack
from bridge.cention.client import CentionSender
from bridge.cention.reading import CentionReader
from bridge.domain.errors import StoreError
from bridge.inbound import openapi
from bridge.inbound.callbacks import CALLBACKS_PATH
from bridge.inbound.crowd import Crowd
from bridge.inbound.events import EVENTS_PATH, DoorPorts
from bridge.inbound.server import Door, Listener, admin_runner, door_runner
from bridge.inbound.strangers import Strangers
from bridge.onward.sender import OnwardSender
from bridge.ops import systemd
from bridge.ops.auth_metrics import AuthMetrics
from bridge.ops.clock import SystemClock, SystemEntropy
from bridge.ops.cycles import spare_collector
from bridge.ops.health import Dependency, create_admin_app
from bridge.ops.lag import watch_lag
from bridge.ops.metrics import BridgeMetrics
from bridge.ops.tracing import open_tracing
from bridge.ops.upstream_metrics import UpstreamCollector
from bridge.ports import Transaction
from bridge.services.channels import Upstream
from bridge.services.dispatch import Dispatcher
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Ingest
from bridge.services.reconcile import Reconciler
from bridge.services.upkeep import Upkeep
from bridge.services.verdicts import Verdicts
from bridge.settings import Settings, SettingsError
from bridge.settings.root import AT_START
from bridge.storage.files import folder_of
from bridge.storage.schema import digest_key
from bridge.storage.writer import SharedCommit
from bridge.wire.exchange import Exchange, open_session

if TYPE_CHECKING:
    from bridge.app.oneview import OneView

# When the store is broken, whoever waits has been refused, and only has to be told so.
LAST_ANSWERS_S: Final = 1.0
# What was traced last is worth no longer wait.
LAST_TRACES_S: Final = 3.0
Load = Callable[[], Settings]


class Bridge:
    """A running bridge: made from settings and an open store, run until told to stop."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        reader: Engine,
        log: Any,
        *,
        passed: Sequence[socket.socket] = (),
        is_dry: bool = False,
    ) -> None:
        """Prepare every part; nothing runs yet. A dry run keeps everything and sends nothing.

        `passed` are the sockets that events come in by, instead of `http.listen`.
        """
        self._settings = settings
        self._passed = passed
        self._is_dry = is_dry
        self._key = digest_key(engine)
        self._files_at = folder_of(engine)
        self._log = log
        self._clock = SystemClock()
        self._tracing = open_tracing(
            settings.tracing.endpoint,
            service=settings.tracing.service_name,
            sample_ratio=settings.tracing.sample_ratio,
            clock=self._clock,
            log=log,
        )
        self._metrics = BridgeMetrics()
        self._gauges = StoreGauges(reader, self._clock)
        self._metrics.registry.register(self._gauges.collector)
        self._metrics.registry.register(UpstreamCollector(lambda: self._dispatcher.channels))
        self._metrics.tokens(wiring.token_expiries(settings))
        self._oneview: OneView | None = None
        self._auth_metrics = AuthMetrics(self._metrics.registry)
        self._writer = SharedCommit(
            engine, on_commit=self._metrics.committed, on_broken=self._break_off
        )
        self._stopping = asyncio.Event()
        # One after the other, or an older file could win.
        self._reload_lock = asyncio.Lock()

    def stop(self) -> None:
        """Begin the orderly end."""
        self._stopping.set()

    async def run(self, load: Load) -> None:
        """Serve until `stop`; `load` reads the settings again at SIGHUP.

        Raises:
            OSError: an address can't be listened on.
            StoreUnavailable: the store can't be written at the start.
            StoreBroken, StoreUnusable: the store must not be written any more, as
                `storage.failures` says.
        """
        self._writer.start()
        async with open_session() as session:
            self._wire(session)
            if not self._is_dry:
                await self._dispatcher.recover()
            app = create_admin_app(
                self._metrics.registry, self._check, self._refresh_if_can, openapi.document
            )
            admin = Listener(admin_runner(app))
            posts = {
                EVENTS_PATH: self._reception.events.post,
                CALLBACKS_PATH: self._way_back.callbacks.post,
            }
            find = self._reception.hooks.find
            door = Listener(door_runner(Door(posts, self._log, self._crowd, find)))
            self._entrance = Entrance(door, self._settings, self._passed)
            try:
                admin_at = await admin.open(wiring.place(self._settings.admin.listen))
                events_at = await self._entrance.open()
                self._on_signals(load)
                spare_collector()
                self._log.info("ready", events=events_at, admin=admin_at)
                if self._is_dry:
                    self._log.warning("dry run: everything is kept, nothing is sent")
                systemd.notify("READY=1")
                await self._serve()
            finally:
                await self._shut_down(door, admin)

    def _wire(self, session: aiohttp.ClientSession) -> None:
        settings, clock = self._settings, self._clock
        tracer = self._tracing.tracer
        exchange = Exchange(session, clock, tracer)
        self._sender = CentionSender(exchange, wiring.cention_options(settings))
        self._onward = OnwardSender(exchange, clock, wiring.onward_options(settings))
        self._reader_of_reports = CentionReader(exchange, wiring.reading_options(settings))
        if settings.oneview.is_on:
            self._oneview = self._with_oneview(exchange)
        oneview = self._oneview
        self._dispatcher = Dispatcher(
            writer=self._writer,
            sender=Senders(self._sender, self._onward, oneview.sender if oneview else None),
            clock=clock,
            entropy=SystemEntropy(),
            meter=self._metrics,
            log=self._log,
            policy=wiring.dispatch_policy(settings),
            upstreams=self._upstreams(),
            tracer=tracer,
        )
        self._way_back = WayBack(
            settings,
            store=Kept(self._writer, self._key, self._files_at),
            clock=clock,
            log=self._log,
            meter=self._metrics.feedback,
            reader=self._reader_of_reports,
            dispatcher=self._dispatcher,
        )
        self._reconciler = Reconciler(
            writer=self._writer,
            reader=self._reader_of_reports,
            clock=clock,
            log=self._log,
            dispatch=self._dispatcher,
            verdicts=Verdicts(clock, self._dispatcher.recorder),
            policy=wiring.lookup_policy(settings),
            pollers=self._way_back.poller,
        )
        self._dispatcher.on_doubt = self._reconciler.wake
        self._show_breakers()
        self._wire_intake()
        self._upkeep = Upkeep(
            writer=self._writer,
            clock=clock,
            meter=self._metrics,
            log=self._log,
            retention=wiring.retention(settings),
            folder=self._ingest.folder,
            on_work=self._dispatcher.wake,
            tracer=tracer,
        )

    def _wire_intake(self) -> None:
        settings, clock = self._settings, self._clock
        self._ingest = Ingest(
            writer=self._writer,
            clock=clock,
            meter=self._metrics,
            policy=self._ingest_policy(wiring.ingest_policy(settings)),
            digest_key=self._key,
            on_work=self._dispatcher.wake,
            outlet=None if self._is_dry else self._dispatcher,
            watcher=self._oneview.presences if self._oneview else None,
        )
        self._crowd = Crowd(clock, self._metrics.door, settings.http.connections_max)
        self._metrics.door.show_open(lambda: len(self._crowd))
        ports = DoorPorts(
            ingest=self._ingest,
            writer=self._writer,
            clock=clock,
            meter=self._metrics,
            log=self._log,
            strangers=Strangers(self._log, clock, self._auth_metrics),
            tracer=self._tracing.tracer,
            is_dry=self._is_dry,
        )
        self._reception = Reception(settings, ports, self._auth_metrics, self._metrics.door)

    def _with_oneview(self, exchange: Exchange) -> "OneView":
        """Make what is for One View's agents, which few sites have: nothing else loads it."""
        from bridge.app.oneview import OneView  # noqa: PLC0415 - see above

        kept = Kept(self._writer, self._key, self._files_at)
        registry = self._metrics.registry
        return OneView(self._settings, kept, exchange, self._clock, self._log, registry)

    def _upstreams(self) -> list[Upstream]:
        upstreams = wiring.upstreams(self._settings)
        if self._oneview is not None:
            upstreams.append(self._oneview.upstream(self._settings))
        return upstreams

    def _ingest_policy(self, policy: IngestPolicy) -> IngestPolicy:
        if self._oneview is None:
            return policy
        return replace(policy, ticket_route=self._oneview.route_of)

    def _show_breakers(self) -> None:
        channels = self._dispatcher.channels
        self._metrics.breakers({one.upstream.label: one.breaker.state for one in channels})

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._upkeep.run()),
                group.create_task(self._watch()),
                group.create_task(watch_lag(self._clock, self._metrics.lagged)),
            ]
            if not self._is_dry:
                background.append(group.create_task(self._reconciler.run()))
                background.append(group.create_task(self._way_back.answers.run()))
                group.create_task(self._dispatcher.run())
                if self._oneview is not None:
                    group.create_task(self._oneview.presences.run())
            await self._stopping.wait()
            systemd.notify("STOPPING=1")
            self._log.info("stopping")
            for task in background:
                task.cancel()
            self._dispatcher.refuse_work()
            if self._oneview is not None:
                self._oneview.presences.refuse_work()

    def _break_off(self) -> None:
        """End at once: what comes of a delivery can't be recorded any more."""
        self._log.error("the store can't be written any more", reason=str(self._writer.failure))
        self._breaking = asyncio.ensure_future(self._dispatcher.stop(0.0))
        self.stop()

    async def _shut_down(self, door: Listener, admin: Listener) -> None:
        await door.stop_accepting()
        if self._writer.failure is None:
            await door.close()
        else:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(LAST_ANSWERS_S):
                    await door.close()
        left = await self._dispatcher.stop(self._settings.delivery.shutdown_seconds)
        if self._oneview is not None:
            await self._oneview.presences.stop(self._settings.delivery.shutdown_seconds)
        await self._writer.close()
        await admin.close()
        await self._tracing.close(LAST_TRACES_S)
        if self._writer.failure is not None:
            raise self._writer.failure
        if self._stopping.is_set():
            self._log.info("stopped", left_in_flight=left)

    async def _watch(self) -> None:
        """Tell systemd's watchdog that the loop turns."""
        every_s = systemd.watchdog_seconds()
        if every_s is None:
            return
        while True:
            systemd.notify("WATCHDOG=1")
            await self._clock.sleep(every_s)

    def _on_signals(self, load: Load) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon, load)

    def _reload_soon(self, load: Load) -> None:
        self._reloading = asyncio.ensure_future(self.reload(load))

    async def reload(self, load: Load) -> bool:
        """Take new rules, routes, tokens and limits; a wrong file is refused whole."""
        async with self._reload_lock:
            return await self._reload(load)

    async def _reload(self, load: Load) -> bool:
        try:
            settings = await asyncio.to_thread(load)
            # Every template is compiled: not while events wait.
            policy = await asyncio.to_thread(wiring.ingest_policy, settings)
            keepers = await asyncio.to_thread(wiring.doorkeepers, settings)
            await self._entrance.renew(settings)
        except SettingsError as error:
            for line in error.problems:
                self._log.error("settings refused; the old ones stay in force", problem=line)
            return False
        for key in AT_START:
            if attrgetter(key)(settings) != attrgetter(key)(self._settings):
                self._log.warning("this setting changes with a restart only", key=key)
        self._settings = settings
        if self._oneview is not None:
            self._oneview.reconfigure(settings)
        self._ingest.policy = self._ingest_policy(policy)
        self._sender.options = wiring.cention_options(settings)
        self._reader_of_reports.options = wiring.reading_options(settings)
        self._dispatcher.reconfigure(wiring.dispatch_policy(settings), self._upstreams())
        self._reconciler.policy = wiring.lookup_policy(settings)
        self._reconciler.wake()
        self._onward.options = wiring.onward_options(settings)
        self._way_back.reconfigure(settings)
        self._show_breakers()
        self._reception.reconfigure(settings, keepers)
        self._crowd.connections_max = settings.http.connections_max
        self._upkeep.retention = wiring.retention(settings)
        self._metrics.tokens(wiring.token_expiries(settings))
        self._log.info("settings read again")
        return True

    async def _check(self) -> list[Dependency]:
        is_kept = True
        try:
            await self._writer.submit(_touch, self._clock.now_us())
            await self._gauges.refresh()
        except StoreError:
            is_kept = False
        channels = self._dispatcher.channels
        return dependencies(
            self._metrics.last_reply,
            {one.upstream.label: one.breaker.state for one in channels},
            sorted({f"{route}/{kind}" for route, kind in self._gauges.figures.pauses}),
            is_kept=is_kept,
        )

    async def _refresh_if_can(self) -> None:
        """Show the figures of before where the store can't be read: the rest is still true."""
        self._show_breakers()
        with contextlib.suppress(StoreError):
            await self._gauges.refresh()
            if self._oneview is not None:
                await self._oneview.presences.show()


def _touch(tx: Transaction, moments: Sequence[int]) -> list[None]:
    tx.touch(max(moments))
    return [None] * len(moments)
