"""What a callback says of people, and its secret, stay where they belong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from process_callbacks import accept, callback, file_document, id_of, received
from process_circle import CALLBACKS, JSON_API, open_circle
from process_client import PROBLEM, Reply
from process_upstream import Answer, Upstream, eventually

pytestmark = pytest.mark.process

# Everything planted holds one of these two, whatever its form.
PLANTED = re.compile(r"kanari|704447771", re.IGNORECASE)
SECRET = "kanariehemlighet"
FORWARD_SECRET = "whsec_kanarihemligt000"
ANSWER: dict[str, Any] = {
    "subject": "Kanarisk fråga",
    "body": "Kanarina, ring +46704447771",
    "html_body": '<div title="kanari">+46704447771</div>',
    "to": [{"name": "Kanarina Fågelholk", "email_address": "kanarina@example.com"}],
}
ECHO = json.dumps({"errors": [{"title": "Kanarina", "detail": "+46704447771"}]}).encode()


def planted(*files: str) -> dict[str, Any]:
    links = [f"http://kanarina.example/c3_response_attachments/{one}" for one in files]
    return callback(secret=SECRET, files=files, links=links, **ANSWER)


def odd(*way: str, value: Any = None) -> dict[str, Any]:
    """Return a callback in which something odd stands in one place."""
    document = inner = planted()
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value or {"kanari": "Kanarina"}
    return document


class Aftermath:
    """All that was said while planted callbacks went every way that there is."""

    def __init__(self, folder: Path, cention: Upstream, target: Upstream) -> None:
        self.refusals: list[Reply] = []
        with open_circle(
            folder,
            CENTION__BASE_URL=cention.url,
            CALLBACKS__SECRET=SECRET,
            CALLBACKS__FORWARD_URL=f"{target.url}/answers",
            CALLBACKS__FORWARD_SECRET=FORWARD_SECRET,
            REPORTS__ENABLED="false",
            LOG__LEVEL="debug",
        ) as self.circle:
            self.deliver(cention, target)
            self.refuse()
            daemon = self.circle.daemon
            self.shown = [daemon.admin.get(one).body.decode() for one in ("/metrics", "/readyz")]
            assert daemon.terminate() == 0
            self.lines = list(daemon.lines)

    def deliver(self, cention: Upstream, target: Upstream) -> None:
        """Have answers sent on, with files and without, and refused, in words that repeat them."""
        circle = self.circle
        for name, answer in {
            "501": Answer(body=file_document(b"kanari", "kanarina.pdf")),
            "502": Answer(status=400, body=ECHO),
            "503": Answer(status=302, headers={"Location": "http://kanarina.example/"}),
            "504": Answer(body=file_document("?kanari")),
            "505": Answer(raw=b"HTTP/1.1 200 OK\r\nkanarina\r\n\r\n"),
        }.items():
            cention.answer_next(name, answer)
        target.answer_next(
            "answers",
            Answer(status=422, body=ECHO),
            Answer(status=500, body=ECHO),
            Answer(raw=b"kanarina"),
            Answer(status=302, headers={"Location": "http://kanarina.example/"}),
        )
        for _ in range(3):
            accept(circle, planted())
        arrived = planted("501", "502", "503", "504", "505")
        accept(circle, arrived)
        assert circle.post_callback(arrived).status == 200
        eventually(lambda: received(target, id_of(arrived)))
        eventually(lambda: not circle.daemon.figures().pending.get("answer"))
        assert circle.daemon.figures().dead_letters > 0
        assert PLANTED.search(json.dumps(received(target, id_of(arrived)), ensure_ascii=False))

    def refuse(self) -> None:
        """Post what is refused, each for another reason."""
        circle, fine = self.circle, planted()
        accept(circle, fine)
        other = json.loads(json.dumps(fine))
        other["included"][-1]["attributes"]["answer"]["response"]["body"] = "Kanarino"
        bodies: list[object] = [
            other,
            odd("data", "type"),
            odd("data", "id"),
            odd("data", "attributes", "event"),
            odd("data", "relationships", "errand", "data", "id", value="kanari"),
            odd("included"),
            odd("meta", "api_secret"),
            {**planted(), "data": {"type": "kanari"}},
            {**planted(), "meta": {"api_secret": "kanariegissning"}},
            json.dumps(planted()).encode()[:-1],
            b"kanari",
            json.dumps(planted()).encode().ljust(16 * 2**20 + 1),
        ]
        self.refusals += [circle.post_callback(one) for one in bodies]
        self.refusals.append(circle.post_callback(planted(), "text/kanari"))
        events, body = circle.daemon.events, json.dumps(planted()).encode()
        headers: dict[str, str | bytes] = {"Content-Type": JSON_API}
        self.refusals.append(events.request("POST", f"{CALLBACKS}/kanari", body, headers))
        self.refusals.append(events.request("PUT", f"{CALLBACKS}?kanari", body, headers))
        zipped = {**headers, "Content-Encoding": "gzip"}
        self.refusals.append(events.request("POST", CALLBACKS, b"kanari", zipped))


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    cention, target = Upstream(), Upstream()
    cention.open()
    target.open()
    try:
        return Aftermath(tmp_path_factory.mktemp("privacy"), cention, target)
    finally:
        cention.close()
        target.close()


def test_no_log_line_holds_what_was_planted(aftermath: Aftermath) -> None:
    events = {json.loads(line)["event"] for line in aftermath.lines}
    assert {"answered", "delivery", "callback refused", "stopped"} <= events
    assert [line for line in aftermath.lines if PLANTED.search(line)] == []


def test_no_metric_and_no_line_of_readiness_holds_what_was_planted(aftermath: Aftermath) -> None:
    for text in aftermath.shown:
        assert [line for line in text.splitlines() if PLANTED.search(line)] == []


def test_no_answer_to_what_was_refused_holds_what_was_planted(aftermath: Aftermath) -> None:
    statuses = {reply.status for reply in aftermath.refusals}
    assert statuses == {400, 401, 404, 405, 409, 413, 415, 422}
    for reply in aftermath.refusals:
        assert reply.media_type == PROBLEM
        text = json.dumps(reply.json, ensure_ascii=False) + str(reply.headers)
        assert not PLANTED.search(text), reply


def test_the_secret_is_nowhere_in_the_store(aftermath: Aftermath) -> None:
    store = Path(aftermath.circle.daemon.settings["BRIDGE_STORE__URL"].removeprefix("sqlite:///"))
    for path in store.parent.glob("bridge.db*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content
            assert FORWARD_SECRET.encode() not in content
