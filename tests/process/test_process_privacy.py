"""Personal data and secrets stay where they belong, whatever becomes of an event."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from process_client import AGENT, JSON, PROBLEM, Reply, event, new_reference
from process_daemon import Site, running_site
from process_upstream import CARD, END, NEW, Answer, Gate, eventually

pytestmark = pytest.mark.process

# Everything planted holds one of these two, whatever its form.
PLANTED = re.compile(r"kanari|704447771", re.IGNORECASE)
NUMBER = "+46704447771"
NAME = "Kanarina Fågelholk"
TOKEN = "kanarie-token"
DOOR = "kanarie-door"
SECRET = "whsec_kanarihemligt000"
PERSON: dict[str, Any] = {
    "callerNumber": NUMBER,
    "callerName": NAME,
    "cuid": "kanarie-cuid",
    "contact": {"email": ["kanarina@example.com"], "voice": [NUMBER]},
    "link": "https://kanarina.example/recording",
    "pagingName": "Kanaries",
    "extraData": {"callReason": "kanariesjuka", "comment": "kanarisk", "zone": "kanarieöarna"},
    "novelty": "kanarienyhet",
}
ECHO = json.dumps(
    {"errors": [{"title": NAME, "detail": f"{NAME} {NUMBER}", "source": {"pointer": NAME}}]}
).encode()
FILE = f"""\
[log]
level = "debug"
[http]
auth_tokens = ["{DOOR}"]
signing_secrets = ["{SECRET}"]
"""
ANSWERS = (
    Answer(status=422, body=ECHO),
    Answer(status=500, body=ECHO, headers={"Retry-After": NAME}),
    Answer(status=503, body=NAME.encode()),
    Answer(status=301, headers={"Location": "http://kanarina.example/"}),
    Answer(raw=b"HTTP/1.1 200 OK\r\nkanarina\r\n\r\n"),
    Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nkanarina"),
    Answer(raw=b"kanarina"),
    Answer(hangs_up=True),
)


@dataclass
class Aftermath:
    """All that was said while planted events went every way that there is."""

    accepted: list[Reply] = field(default_factory=list)
    refusals: list[Reply] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def look(self, site: Site) -> None:
        for path in ("/metrics", "/readyz"):
            self.shown.append(site.daemon.admin.get(path).body.decode())


def post(site: Site, body: object, content_type: str = JSON, token: str = DOOR) -> Reply:
    headers = {"Authorization": f"Bearer {token}"}
    return site.daemon.events.post(body, content_type, **headers)


def deliver(site: Site) -> None:
    """Send a call for each of the upstream's answers, of which some are dead letters."""
    for answer in ANSWERS:
        reference = new_reference()
        for kind in (NEW, END):
            site.upstream.answer_next(kind, answer, reference=reference)
        site.upstream.answer_next(CARD, answer)
        answered = event("call.answered", reference, **PERSON, **AGENT)
        answered["contact"] = {"line": [f"kanari-{reference}"]}
        for body in (answered, event("call.ended", reference, **PERSON, **AGENT)):
            assert post(site, body).status == 202
    site.daemon.drain()
    assert site.daemon.figures().dead_letters > 0
    assert all(PLANTED.search(one.body.decode()) for one in site.upstream.of_kind(NEW))


def cloud(event_type: str, **fields: Any) -> dict[str, Any]:
    """Return an event in the envelope of CloudEvents, which is planted as well."""
    data = event(event_type, **PERSON, **fields)
    return {
        "specversion": "1.0",
        "id": data.pop("eventId"),
        "source": "/kanarina",
        "type": "kanari",
        "subject": NAME,
        "traceparent": "00-kanarina-kanarina-01",
        "kanari": "kanarina",
        "data": data,
    }


def shape(site: Site) -> Iterator[Reply]:
    """Post what is taken in every shape, with headers and a query that are planted."""
    several = [event("call.queued", **PERSON) for _ in range(2)]
    lines = b"\n".join(json.dumps(one).encode() for one in several)
    yield post(site, [event("call.queued", **PERSON), *several])
    yield post(site, lines, "application/x-ndjson")
    yield post(site, cloud("call.queued"), "application/cloudevents+json")
    yield post(site, [cloud("call.queued")] * 2, "application/cloudevents-batch+json")
    unnamed = {**event("call.queued", **PERSON), "eventId": None}
    for headers in (
        {"webhook-id": "kanarina"},
        {"webhook-id": "kanari", "webhook-signature": "v1,kanari", "webhook-timestamp": "kanari"},
        {"traceparent": "00-kanarina-kanarina-01", "tracestate": "kanari=kanarina"},
        {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "kanari=kanarina"},
        {"User-Agent": "kanari", "X-Request-Id": "kanari", "Cookie": "kanari"},
    ):
        body = unnamed if "webhook-id" in headers else event("call.queued", **PERSON)
        given = {"Authorization": f"Bearer {DOOR}", "Content-Type": JSON, **headers}
        raw = json.dumps(body).encode()
        yield site.daemon.events.request("POST", "/v1/events?kanari=kanarina", raw, given)


def refuse(site: Site) -> Iterator[Reply]:
    """Post what is refused, each for another reason."""
    fine = event("call.queued", **PERSON)
    assert post(site, fine).status == 202
    yield post(site, {**fine, "callerName": "Kanarino"})
    yield post(site, {**fine, "eventId": None})
    for name in ("eventType", "occurredAt", "destNumber", "outcome", "link", "contact", "deviceId"):
        yield post(site, event("call.queued", **{**PERSON, name: NAME}))
    yield post(site, event("call.queued", **PERSON, attachments=[{"name": NAME}]))
    yield post(site, [event("call.queued", **{**PERSON, "destNumber": NUMBER[:6]}), NAME])
    yield post(site, f'{{"callerName": "{NAME}", }}'.encode())
    yield post(site, f'{{"callerName": "{NAME}", "callerName": "{NAME}"}}'.encode())
    yield post(site, f'{{"{NAME}": NaN}}\n{NAME}'.encode(), "application/x-ndjson")
    yield post(site, {"specversion": NAME, "id": 7}, "application/cloudevents+json")
    yield post(site, {**cloud("call.queued"), "data": NAME}, "application/cloudevents+json")
    yield post(site, [cloud(NAME), NAME], "application/cloudevents-batch+json")
    yield post(site, [{"kanarina": NAME}] * 3)
    yield post(site, fine, "text/kanari")
    yield post(site, fine, token=NAME)
    yield post(site, fine, token=f"{DOOR}-kanarina")
    yield site.daemon.events.request("POST", "/v1/events", b"{}", {"Authorization": "Basic kanari"})
    yield post(site, event("call.queued", callerName=NAME * 20_000))
    yield site.daemon.events.request("POST", "/kanarina?kanarina=kanarina", b"{}")
    yield site.daemon.events.request("PUT", "/v1/events?kanarina=kanarina", b"{}")
    yield site.daemon.events.request(
        "POST",
        "/v1/events",
        b"kanarina",
        {"Authorization": f"Bearer {DOOR}", "Content-Type": JSON, "Content-Encoding": "gzip"},
    )


def crash(site: Site) -> None:
    """Lose a daemon within a request, so that the next one finds it in doubt."""
    site.upstream.answer_next(NEW, Answer(gate=Gate()))
    reference = new_reference()
    assert post(site, event("call.answered", reference, **PERSON, **AGENT)).status == 202
    site.upstream.wait_for(lambda upstream: upstream.of_call(reference))
    site.daemon.kill9()
    site.daemon.start()
    site.daemon.drain()


def pause(site: Site) -> None:
    """Have the token refused, in words that repeat it."""
    site.upstream.answer_always(NEW, Answer(status=401, body=ECHO.replace(b"+", TOKEN.encode())))
    assert post(site, event("call.answered", **PERSON, **AGENT)).status == 202
    eventually(lambda: site.daemon.figures().pauses)


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    folder = tmp_path_factory.mktemp("privacy")
    file = folder / "bridge.toml"
    file.write_text(FILE)
    said = Aftermath()
    with running_site(folder, "--config", file, CENTION__TOKEN=TOKEN) as site:
        deliver(site)
        said.accepted.extend(shape(site))
        said.refusals.extend(refuse(site))
        file.write_text(FILE + f'[callbacks]\nsecret = ["{TOKEN}"]\nforward_url = "{NAME}"\n')
        assert site.daemon.reload()["level"] == "error"
        file.write_text(FILE)
        said.look(site)
        crash(site)
        pause(site)
        said.look(site)
        assert site.daemon.terminate() == 0
        said.lines.extend(site.daemon.lines)
    return said


def test_no_log_line_holds_what_was_planted(aftermath: Aftermath) -> None:
    events = {json.loads(line)["event"] for line in aftermath.lines}
    assert {"delivery", "event", "stopped"} <= events
    assert [line for line in aftermath.lines if PLANTED.search(line)] == []


def test_no_answer_to_what_was_taken_holds_more_of_it_than_ids(aftermath: Aftermath) -> None:
    for reply in aftermath.accepted:
        assert reply.status in {200, 202}, reply
        text = json.dumps(reply.json, ensure_ascii=False) + str(reply.headers)
        # The event's id is the sender's, and is answered with.
        assert not PLANTED.search(text.replace('"kanarina"', "").replace('"kanari"', "")), reply


def test_no_metric_and_no_line_of_readiness_holds_what_was_planted(aftermath: Aftermath) -> None:
    assert len(aftermath.shown) == 4
    for text in aftermath.shown:
        assert [line for line in text.splitlines() if PLANTED.search(line)] == []


def test_no_answer_to_what_was_refused_holds_what_was_planted(aftermath: Aftermath) -> None:
    statuses = {reply.status for reply in aftermath.refusals}
    assert statuses == {400, 401, 404, 405, 409, 413, 415, 422}
    for reply in aftermath.refusals:
        assert reply.media_type == PROBLEM
        text = json.dumps(reply.json, ensure_ascii=False) + str(reply.headers)
        assert not PLANTED.search(text), reply
