"""The way back, wired: callbacks and the answers in them, and who polls reports."""

from dataclasses import dataclass
from pathlib import Path

from bridge.app import wiring
from bridge.cention.reading import CentionReader
from bridge.inbound.callbacks import CallbacksEndpoint
from bridge.ops.feedback_metrics import FeedbackMetrics
from bridge.ports import Clock, Log, Writer
from bridge.services.answer_intake import AnswerIntake
from bridge.services.answers import Answers
from bridge.services.dispatch import Dispatcher
from bridge.services.fetching import FileFetcher
from bridge.services.looking import Looker
from bridge.services.reading import WorkspaceReader
from bridge.services.reports import ReportPoller
from bridge.settings import Settings
from bridge.storage.files import AnswerFiles


@dataclass(frozen=True, slots=True)
class Kept:
    """Where things are kept: who writes, the store's secret, the folder for files."""

    writer: Writer
    digest_key: bytes
    files_at: Path


class WayBack:
    """Everything that what comes back goes through."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Kept,
        clock: Clock,
        log: Log,
        meter: FeedbackMetrics,
        reader: CentionReader,
        dispatcher: Dispatcher,
    ) -> None:
        """Make every part; nothing runs yet."""
        self._store = store
        self._clock = clock
        self._log = log
        self._meter = meter
        self._reader = reader
        self.answers = Answers(
            writer=store.writer,
            clock=clock,
            log=log,
            meter=meter,
            fetcher=FileFetcher(
                writer=store.writer,
                clock=clock,
                log=log,
                meter=meter,
                reader=reader,
                files=AnswerFiles(store.files_at),
                turns=dispatcher,
            ),
            policy=wiring.answer_policy(settings),
            on_work=dispatcher.wake,
        )
        intake = AnswerIntake(
            writer=store.writer,
            clock=clock,
            digest_key=store.digest_key,
            on_taken=self.answers.wake,
        )
        self.callbacks = CallbacksEndpoint(
            answers=intake,
            read=wiring.callback_reader(settings),
            writer=store.writer,
            clock=clock,
            meter=meter,
            log=log,
            caller=wiring.caller(settings),
        )

    def reconfigure(self, settings: Settings) -> None:
        """Take new settings."""
        self.answers.policy = wiring.answer_policy(settings)
        self.callbacks.caller = wiring.caller(settings)
        self.callbacks.read = wiring.callback_reader(settings)

    def poller(self, at: WorkspaceReader, looker: Looker) -> ReportPoller:
        """Return who polls the reports of a workspace."""
        return ReportPoller(
            at=at,
            looker=looker,
            writer=self._store.writer,
            reader=self._reader,
            clock=self._clock,
            log=self._log,
            meter=self._meter,
        )
