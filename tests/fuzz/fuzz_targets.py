"""What is fuzzed: a line a target. Each takes bytes, and raises nothing that isn't documented."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from multidict import CIMultiDict, CIMultiDictProxy

from bridge.cention.callbacks import read_callback
from bridge.domain.admission import admit
from bridge.domain.errors import InvalidEvent
from bridge.domain.events import EventDocument, parse_event
from bridge.domain.mapping_files import read_mapping
from bridge.domain.mappings import apply
from bridge.domain.msisdn import NumberStatus, read_number
from bridge.domain.plain_events import PlainEvent, read_plain
from bridge.domain.routes import Route, RouteTable
from bridge.inbound.auth import Doorkeeper, DoorKeys
from bridge.inbound.callbacks import Caller
from bridge.inbound.forms import JSON, MULTIPART, URLENCODED, read_any
from bridge.inbound.shapes import Shape, read
from bridge.inbound.strict_json import StrictJsonError, loads

NOW_US: Final = 1_790_000_000_000_000
NOW_S: Final = NOW_US // 1_000_000
BASE: Final = "https://cention.example"
KINDS: Final = (JSON, URLENCODED, f"{MULTIPART}; boundary=x")
MAPPINGS: Final = tuple(
    read_mapping(tomllib.loads(path.read_text()))
    for path in sorted((Path(__file__).parents[2] / "config" / "mappings").glob("*.toml"))
)
REGIONS: Final = (None, "SE", "MY", "DE", "US", "IT", "AR", "SG")
ROUTES: Final = RouteTable(
    (
        Route(
            name="sales",
            base_url=BASE,
            workspace="s",
            region="SE",
            queue_names=frozenset({"Sales"}),
        ),
    ),
    Route(name="default", base_url=BASE, workspace="d"),
)
KEEPER: Final = Doorkeeper(
    DoorKeys(tokens=["a-token"], secrets=["whsec_Y2hhbmdlIG1l"], twilio_tokens=["a-key"])
)
CALLER: Final = Caller(secret='s"ecret-å')


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows before its body is read."""

    headers: CIMultiDictProxy[str]
    raw_path: str = "/v1/events?a=b"
    remote: str | None = "192.0.2.1"


def _events(shape: Shape) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        try:
            body = read(shape, data, {"webhook-id": "m-1"})
        except (StrictJsonError, InvalidEvent):
            return
        for candidate in body.candidates[:50]:
            if candidate.error is None:
                _admit(candidate.document)

    return take


def _admit(document: Any) -> None:
    try:
        shape: EventDocument | PlainEvent = (
            document if isinstance(document, PlainEvent) else parse_event(document)
        )
        admit(shape, source="fuzz", routes=ROUTES, now_us=NOW_US, age_days_max=30)
    except InvalidEvent as error:
        issues = error.issues
    else:
        issues = []
    assert all(one.pointer == "" or one.pointer.startswith("/") for one in issues)


def _strict_json(data: bytes) -> None:
    try:
        value = loads(data)
    except StrictJsonError:
        return
    # What is read can be kept: as UTF-8, with integers that fit.
    assert loads(_dumped(value)) == value


def _dumped(value: Any) -> bytes:
    import orjson  # noqa: PLC0415 - not to be instrumented with the rest

    return orjson.dumps(value)


def _plain(data: bytes) -> None:
    """What is read in one step, the general way reads too."""
    event = read_plain(data)
    if event is None:
        return
    general = parse_event(loads(data))
    assert general.event_id == event.event_id
    assert general.occurred_at == event.occurred_at
    assert general.dest_number == event.dest_number


def _callbacks(data: bytes) -> None:
    try:
        read_callback(loads(data), own_hosts=frozenset({"cention.example"}))
    except (StrictJsonError, InvalidEvent):
        return


def _caller(data: bytes) -> None:
    CALLER.is_quoted_in(data)
    assert CALLER.secret.encode() not in CALLER.without_secret(data)
    CALLER.is_near_by(Shown(CIMultiDictProxy(CIMultiDict()), remote=data.decode("latin-1")))


def _auth(data: bytes) -> None:
    """Nobody gets in by chance, and nothing that a header may hold is a fault."""
    names = (
        *("authorization", "webhook-id", "webhook-timestamp", "webhook-signature"),
        *("x-twilio-signature", "content-type"),
    )
    parts = data.split(b"\n", len(names))
    texts = (part.decode("utf-8", "surrogateescape") for part in parts)
    headers = CIMultiDictProxy(CIMultiDict(zip(names, texts, strict=False)))
    knock = Shown(headers)
    body = parts[-1]
    may = KEEPER.may_admit(knock)
    if KEEPER.admits(knock, body, NOW_S):
        assert may
        assert "a-token" in headers.get("authorization", "")


def _number(data: bytes) -> None:
    """A number that is read is read again the same, with the plus and in any region."""
    if not data:
        return
    region = REGIONS[data[0] % len(REGIONS)]
    first = read_number(data[1:].decode("utf-8", "replace"), region=region)
    if first.status is NumberStatus.VALID:
        assert first.msisdn.isascii()
        assert first.msisdn.isdigit()
        assert len(first.msisdn) <= 15
        again = read_number(first.plus, region=None)
        assert again.msisdn == first.msisdn, (first.msisdn, again)


def _mapped(data: bytes) -> None:
    """Of whatever is posted, each shipped mapping makes something or names what is wrong."""
    kind = KINDS[data[0] % len(KINDS)] if data else JSON
    try:
        body = read_any(data[1:], kind)
    except StrictJsonError:
        return
    for mapping in MAPPINGS:
        for made in apply(mapping, body, {}, "2026-09-21T14:13:20Z").events:
            _admit(made.document)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "json": _events(Shape.JSON),
    "ndjson": _events(Shape.NDJSON),
    "cloudevent": _events(Shape.CLOUDEVENT),
    "cloudevents": _events(Shape.CLOUDEVENTS),
    "strict_json": _strict_json,
    "plain": _plain,
    "callbacks": _callbacks,
    "caller": _caller,
    "auth": _auth,
    "msisdn": _number,
    "mappings": _mapped,
}
