"""Taking in what was refused at the door, by the settings as they are now."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Engine

from bridge.app import wiring
from bridge.cli.common import tracked
from bridge.domain.answers import Answer
from bridge.domain.errors import InvalidEvent, Issue, StoreUnavailable
from bridge.domain.events import EVENTS_SOURCE
from bridge.inbound import callbacks
from bridge.inbound.hooks import admit_made, read_mapped
from bridge.inbound.shapes import Body, Candidate, Shape, read
from bridge.inbound.strict_json import StrictJsonError, loads
from bridge.ops.clock import SystemClock
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Clock, Gate, Writer
from bridge.services.answer_intake import AnswerIntake
from bridge.services.ingest import Arrival, Ingest, Taken
from bridge.settings import Settings, SettingsError
from bridge.storage import refusals, repairs
from bridge.storage.engine import open_reader
from bridge.storage.schema import digest_key
from bridge.storage.writer import SharedCommit

REASONS_MAX: Final = 5
_CUT: Final = "was cut when it was kept, so it can't be replayed; have it sent again"
_OTHER_ANSWER: Final = "/data/id: a callback with these ids and another answer is kept already"
_CONFLICT: Final = "/eventId: an event with this id and other content is kept already"


def reason(pointer: str, detail: str) -> str:
    """Return on one line what is wrong, and where."""
    return f"{pointer}: {detail}" if pointer else detail


async def readmit(
    engine: Engine,
    settings: Settings,
    ids: Sequence[str],
    *,
    gap_s: float = 0.0,
    bodies: Mapping[str, bytes] | None = None,
) -> tuple[int, list[str]]:
    """Take refusals in one by one; what is taken leaves the quarantine.

    Args:
        engine: the daemon's store.
        settings: the daemon's settings.
        ids: which.
        gap_s: from one to the next no less than so many seconds.
        bodies: what stands in place of the body that was kept, by id.

    Returns:
        How many were taken, and a line for each reason why another was not.
    """
    clock = SystemClock()
    writer = SharedCommit(engine)
    ingest = _ingest(engine, settings, writer, clock)
    answers = AnswerIntake(writer=writer, clock=clock, digest_key=digest_key(engine))
    reader = open_reader(settings.store.url)
    count = 0
    wrong: list[str] = []
    writer.start()
    next_s = clock.monotonic()
    try:
        for one in tracked(ids, "Replaying"):
            with reader.connect() as connection:
                found = refusals.one(connection, one)
            if found is None:
                continue
            if bodies and one in bodies:
                # Whoever gives a body gives the whole of it.
                found = {**found, "body": bodies[one], "is_cut": False}
            if (wait_s := next_s - clock.monotonic()) > 0:
                await clock.sleep(wait_s)
            next_s += gap_s
            if found["source"] == callbacks.SOURCE:
                reasons = await _take_callback(answers, wiring.callback_reader(settings), found)
            elif found["source"] == EVENTS_SOURCE:
                reasons = await _take(ingest, found)
            else:
                reasons = await _take_mapped(ingest, settings, found)
            if reasons:
                wrong.extend(f"{one}: {why}" for why in reasons[:REASONS_MAX])
                continue
            # In a commit of its own: were it lost, the next replay would find duplicates.
            with engine.begin() as connection:
                count += repairs.forget_refusals(connection, [one])
    finally:
        await writer.close()
        reader.dispose()
    return count, wrong


def _ingest(engine: Engine, settings: Settings, writer: Writer, clock: Clock) -> Ingest:
    """Return an intake as the daemon's, which leaves delivery to it."""
    follower = None
    policy = wiring.ingest_policy(settings)
    if settings.oneview.is_on:
        # Here, since few sites have a One View.
        from bridge.app.oneview import Follower  # noqa: PLC0415 - see above

        follower = Follower(settings, digest_key(engine))
        policy = replace(policy, ticket_route=follower.route_of)
    return Ingest(
        writer=writer,
        clock=clock,
        meter=BridgeMetrics(),
        policy=policy,
        digest_key=digest_key(engine),
        on_work=_leave_to_the_daemon,
        watcher=follower,
    )


def _leave_to_the_daemon(_gates: Iterable[Gate]) -> None:
    """Do nothing: the daemon looks for work every second."""


async def _take_callback(
    answers: AnswerIntake, read_callback: Callable[[Any], Answer], found: dict[str, Any]
) -> list[str]:
    """Take in a refused callback; return why not."""
    if found["is_cut"]:
        return [_CUT]
    try:
        answer = read_callback(loads(found["body"]))
    except StrictJsonError as error:
        return [reason(error.pointer, error.detail)]
    except InvalidEvent as error:
        return _said(error.issues)
    taken = await answers.take(answer)
    return [_OTHER_ANSWER] if taken is Taken.CONFLICT else []


async def _take(ingest: Ingest, found: dict[str, Any]) -> list[str]:
    """Take in a refused body; return why not, a line for each event that can't be."""
    if found["is_cut"]:
        return [_CUT]
    try:
        candidates = _read(found).candidates
    except StrictJsonError as error:
        return [reason(error.pointer, error.detail)]
    except InvalidEvent as error:
        return _said(error.issues)
    if not candidates:
        return ["holds no event"]
    arrivals, reasons = _admit(ingest, candidates, found["source"])
    return [*reasons, *await _keep(ingest, arrivals)]


async def _take_mapped(ingest: Ingest, settings: Settings, found: dict[str, Any]) -> list[str]:
    """Take in what another phone system posted, by its mapping of now; return why not.

    What the mapping ignores is done with. Headers are not kept, so a mapping reads none here.
    """
    if found["is_cut"]:
        return [_CUT]
    source = found["source"]
    try:
        hook = settings.hook_table().get(source)
        if hook is None:
            return [f"came from {source}, which is no hook any more"]
        mapping = settings.mappings.mapping(hook.mapping or source)
        _, mapped = read_mapped(
            mapping, found["body"], found["content_type"], {}, found["received_us"]
        )
    except SettingsError as error:
        return error.problems
    except StrictJsonError as error:
        return [reason(error.pointer, error.detail)]
    admitted = [admit_made(ingest, made, source=source) for made in mapped.events]
    arrivals = [one for one in admitted if isinstance(one, Arrival)]
    refused = [
        why for one in admitted if isinstance(one, InvalidEvent) for why in _said(one.issues)
    ]
    return [*_said(mapped.issues), *refused, *await _keep(ingest, arrivals)]


async def _keep(ingest: Ingest, arrivals: Sequence[Arrival]) -> list[str]:
    """Keep what was admitted; return why not."""
    reasons: list[str] = []
    for receipt in await ingest.take(arrivals) if arrivals else []:
        if isinstance(receipt, StoreUnavailable):
            raise receipt
        if isinstance(receipt, Exception):
            reasons.append(f"can't be processed ({type(receipt).__name__})")
        elif receipt.taken is Taken.CONFLICT:
            reasons.append(_CONFLICT)
    return reasons


def _admit(
    ingest: Ingest, candidates: Iterable[Candidate], source: str
) -> tuple[list[Arrival], list[str]]:
    """Check what may be events; return those that are, and a line for each that isn't."""
    arrivals: list[Arrival] = []
    reasons: list[str] = []
    for candidate in candidates:
        try:
            if candidate.error is not None:
                raise candidate.error
            arrivals.append(ingest.admit(candidate.document, source=source))
        except InvalidEvent as error:
            reasons.extend(_said(error.issues))
    return arrivals, reasons


def _read(found: dict[str, Any]) -> Body:
    """Read a refused body in the shape that it came in.

    One event out of several is kept as JSON, whatever shape they came in.
    """
    media_type = found["content_type"].partition(";")[0].strip().lower()
    try:
        shape = Shape(media_type)
    except ValueError:
        raise InvalidEvent([Issue("", "came as a type that holds no events")]) from None
    body = read(shape, found["body"], {})
    if shape is Shape.JSON and not body.is_batch:
        document = body.candidates[0].document
        if isinstance(document, dict) and "specversion" in document and "data" in document:
            return read(Shape.CLOUDEVENT, found["body"], {})
    return body


def _said(issues: Iterable[Issue]) -> list[str]:
    return [reason(issue.pointer, issue.detail) for issue in issues]
