"""The files of answers: fetched from Cention's own address, whatever a callback says of it."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from process_callbacks import (
    ATTACHMENT,
    accept,
    callback,
    file_document,
    id_of,
    new_id,
    sent_on,
)
from process_circle import Circle, open_circle
from process_daemon import TOKEN
from process_receiver import Trap
from process_upstream import Answer, Gate, Upstream, eventually

from bridge.cention.reading import FILE_BYTES_MAX
from bridge.sandbox.tokens import CONTACT_CARDS, CREATE_ERRAND, ERRAND_DATA, make_token

pytestmark = pytest.mark.process

CONTENT = b"%PDF-1.7 an invoice"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cention() -> Iterator[Upstream]:
    """Give a Cention that answers as a test says."""
    made = Upstream()
    made.open()
    yield made
    made.close()


@pytest.fixture
def circle(tmp_path: Path, cention: Upstream) -> Iterator[Circle]:
    with open_circle(
        tmp_path,
        CENTION__BASE_URL=cention.url,
        CENTION__TOKEN=TOKEN,
        REPORTS__ENABLED="false",
    ) as made:
        yield made
        cention.let_go()


@pytest.fixture
def traps() -> Iterator[tuple[Trap, Trap]]:
    """Give who listens on this machine's two loopback addresses."""
    with ExitStack() as stack:
        made = Trap(), Trap("::1")
        for one in made:
            stack.callback(one.close)
        yield made


def files_of(circle: Circle, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files of a callback, once it was sent on."""
    [sent] = sent_on(circle, id_of(document))
    found: list[dict[str, Any]] = sent["data"]["attachments"]
    return found


def outcome(circle: Circle, name: str) -> float:
    return circle.daemon.metric("bridge_answer_files_total", outcome=name)


def foreign_links(circle: Circle) -> float:
    return circle.daemon.metric("bridge_callback_foreign_links_total")


def fetched(cention: Upstream) -> list[str]:
    return [one.path for one in cention.seen if one.method == "GET"]


def path_of(file_id: str) -> str:
    return f"/s/demo/capi/json/{ATTACHMENT}/{file_id}"


def test_no_link_in_a_callback_leads_anywhere_but_to_cention(
    circle: Circle, cention: Upstream, traps: tuple[Trap, Trap]
) -> None:
    (trap, trap6), other = traps, new_id
    hosts = [
        f"http://127.0.0.1:{trap.port}",
        f"http://0x7f000001:{trap.port}",
        f"http://2130706433:{trap.port}",
        f"http://127.1:{trap.port}",
        f"http://localhost:{trap.port}",
        f"http://[::1]:{trap6.port}",
        f"http://[::ffff:127.0.0.1]:{trap.port}",
        f"http://localhost@127.0.0.1:{trap.port}",
        f"http://{cention.url.partition('//')[2]}@127.0.0.1:{trap.port}",
        f"//127.0.0.1:{trap.port}",
        f"https://127.0.0.1:{trap.port}",
        f"ftp://127.0.0.1:{trap.port}",
        "http://169.254.169.254",
        "http://127.0.0.1:1",
        "file://",
        f"file://127.0.0.1:{trap.port}",
    ]
    own = ["http://localhost", cention.url, ""]
    ids = [other() for _ in (*hosts, *own)]
    for one in ids:
        cention.answer_next(one, Answer(body=file_document(one.encode())))
    places = [*hosts, *own]
    links = [f"{host}/capi/json/{ATTACHMENT}/{one}" for host, one in zip(places, ids, strict=True)]
    document = callback(files=ids, links=links)
    accept(circle, document)
    got = files_of(circle, document)
    assert [one["sha256"] for one in got] == [
        hashlib.sha256(one.encode()).hexdigest() for one in ids
    ]
    assert sorted(fetched(cention)) == sorted(map(path_of, ids))
    assert (trap.connections, trap6.connections) == (0, 0)
    assert foreign_links(circle) == len(hosts)


def test_a_duplicates_foreign_links_are_counted_once(circle: Circle) -> None:
    document = callback(files=["7"], links=["http://evil.example/"])
    accept(circle, document)
    assert circle.post_callback(document).status == 200
    assert foreign_links(circle) == 1


def test_a_redirect_is_not_followed_and_the_file_is_given_up(
    circle: Circle, cention: Upstream, traps: tuple[Trap, Trap]
) -> None:
    statuses = {"501": 301, "502": 302, "503": 303, "504": 307, "505": 308}
    for file_id, status in statuses.items():
        place = f"http://127.0.0.1:{traps[0].port}{path_of(file_id)}"
        cention.answer_next(file_id, Answer(status=status, headers={"Location": place}))
    document = callback(files=list(statuses))
    accept(circle, document)
    files = files_of(circle, document)
    assert {one["id"]: one["error"] for one in files} == dict.fromkeys(statuses, "redirected")
    assert {one["sha256"] for one in files} == {None}
    assert (traps[0].connections, fetched(cention)) == (0, [path_of(one) for one in statuses])


def test_a_file_is_asked_for_with_the_token_and_the_vendors_media_type(
    circle: Circle, cention: Upstream
) -> None:
    cention.answer_next("501", Answer(body=file_document(CONTENT, "invoice.pdf")))
    document = callback(files=["501"])
    accept(circle, document)
    [file] = files_of(circle, document)
    assert (file["name"], file["size"], file["sha256"]) == ("invoice.pdf", len(CONTENT), DIGEST)
    assert (file["content_type"], file["content_id"]) == ("text/plain", "1")
    [asked] = [one for one in cention.seen if one.method == "GET"]
    assert asked.header("Authorization") == [f"Bearer {TOKEN}"]
    assert asked.header("Accept") == ["application/vnd.api+json"]
    [path] = circle.attachments
    assert (path.name, path.read_bytes()) == (DIGEST, CONTENT)
    assert path.stat().st_mode & 0o077 == 0


GIVEN_UP: dict[str, tuple[Answer, str]] = {
    "gone": (Answer(status=410), "not_found"),
    "refused": (Answer(status=400), "refused"),
    "not_base64": (Answer(body=file_document("?")), "unreadable"),
    "no_content": (Answer(body=b'{"data": {"attributes": {"attachment": {}}}}'), "unreadable"),
    "no_json": (Answer(body=b"<html>"), "unreadable"),
    "nothing": (Answer(status=204), "unreadable"),
    "list": (Answer(body=b"[]"), "unreadable"),
    "deep": (Answer(body=b"[" * 100_000), "unreadable"),
    "surrogate": (Answer(body=file_document(CONTENT, "X").replace(b"X", b"\\ud800")), "unreadable"),
}


def test_a_file_that_will_not_be_had_is_given_up_and_the_others_arrive(
    circle: Circle, cention: Upstream
) -> None:
    ids = [str(501 + place) for place in range(len(GIVEN_UP))]
    for file_id, (answer, _) in zip(ids, GIVEN_UP.values(), strict=True):
        cention.answer_next(file_id, answer)
    cention.answer_next("601", Answer(body=file_document(CONTENT)))
    document = callback(files=[*ids, "601"])
    accept(circle, document)
    *given_up, last = files_of(circle, document)
    errors = [error for _, error in GIVEN_UP.values()]
    assert [one["error"] for one in given_up] == errors
    assert {(one["sha256"], one["size"]) for one in given_up} == {(None, None)}
    assert (last.get("error"), last["sha256"]) == (None, DIGEST)
    assert outcome(circle, "kept") == 1
    assert {one: outcome(circle, one) for one in errors} == Counter(errors)
    assert len(fetched(cention)) == len(GIVEN_UP) + 1


def test_a_file_that_is_not_there_is_given_up_and_the_others_arrive(
    circle: Circle, cention: Upstream
) -> None:
    cention.answer_always("501", Answer(status=404))
    cention.answer_next("502", Answer(body=file_document(CONTENT)))
    document = callback(files=["501", "502"])
    accept(circle, document)
    first, second = files_of(circle, document)
    assert (first["error"], second["sha256"]) == ("not_found", DIGEST)


@pytest.mark.parametrize("excess", [1, 8 * 2**20])
def test_a_file_that_is_too_large_is_given_up(
    circle: Circle, cention: Upstream, excess: int
) -> None:
    cention.answer_next("501", Answer(body=file_document(bytes(FILE_BYTES_MAX + excess))))
    document = callback(files=["501"])
    accept(circle, document)
    [file] = files_of(circle, document)
    assert (file["error"], file["sha256"]) == ("too_large", None)
    assert circle.attachments == []


def test_the_largest_file_arrives(circle: Circle, cention: Upstream) -> None:
    content = bytes(FILE_BYTES_MAX)
    cention.answer_next("501", Answer(body=file_document(content)))
    document = callback(files=["501"])
    accept(circle, document)
    [file] = files_of(circle, document)
    assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_same_content_under_two_ids_is_kept_once(circle: Circle, cention: Upstream) -> None:
    for one in ("501", "502"):
        cention.answer_next(one, Answer(body=file_document(CONTENT)))
    document = callback(files=["501", "502"])
    accept(circle, document)
    assert [one["sha256"] for one in files_of(circle, document)] == [DIGEST] * 2
    assert len(circle.attachments) == 1


def test_a_name_of_a_path_names_no_path(circle: Circle, cention: Upstream) -> None:
    name = "../../../etc/cron.d/x\0"
    cention.answer_next("501", Answer(body=file_document(CONTENT, name)))
    document = callback(files=["501"])
    accept(circle, document)
    [file] = files_of(circle, document)
    assert file["name"] == name
    assert [path.name for path in circle.attachments] == [DIGEST]


def test_what_may_pass_is_waited_for(circle: Circle, cention: Upstream) -> None:
    cention.answer_next(
        "501",
        Answer(status=503),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        Answer(body=file_document(CONTENT)),
    )
    document = callback(files=["501"])
    accept(circle, document)
    [file] = files_of(circle, document)
    assert (file.get("error"), file["sha256"]) == (None, DIGEST)
    assert len(fetched(cention)) == 3
    assert outcome(circle, "kept") == 1


def test_answers_without_files_do_not_wait_for_those_with(
    circle: Circle, cention: Upstream
) -> None:
    cention.answer_always("501", Answer(status=403))
    waiting = [callback(files=["501"]) for _ in range(6)]
    accept(circle, *waiting)
    cention.wait_for(lambda one: len(one.of_kind("501")) >= 6)
    document = callback()
    accept(circle, document)
    sent_on(circle, id_of(document))
    assert len(circle.receiver.documents) == 1
    assert circle.daemon.figures().answers_waiting == 6


def test_a_file_that_is_being_fetched_does_not_hold_up_a_stop(
    circle: Circle, cention: Upstream
) -> None:
    cention.answer_next("501", Answer(status=404, gate=Gate()))
    accept(circle, callback(files=["501"]))
    cention.wait_for(lambda one: one.of_kind("501"))
    assert circle.daemon.terminate(deadline_s=10.0) == 0


def test_a_missing_claim_is_waited_for_until_the_token_has_it(tmp_path: Path) -> None:
    poor = make_token(b"sandbox", claims=(CREATE_ERRAND, CONTACT_CARDS, ERRAND_DATA))
    with open_circle(tmp_path, CENTION__TOKEN=poor, REPORTS__ENABLED="false") as circle:
        _, errand_id = circle.call()
        file = {
            "content_type": "application/pdf",
            "name": "invoice.pdf",
            "content": base64.b64encode(CONTENT).decode(),
        }
        circle.answer(errand_id, attachments=[file])
        line = circle.daemon.wait_line(lambda one: one["event"] == "a file can't be fetched yet")
        assert (line["level"], line["status"]) == ("error", 403)
        assert "claim" in line["hint"]
        assert circle.receiver.documents == []
        assert circle.daemon.figures().pauses == []
        circle.daemon.terminate()
        circle.daemon.settings["BRIDGE_CENTION__TOKEN"] = make_token(b"sandbox")
        circle.start()
        [document] = eventually(lambda: circle.receiver.documents)
        [file] = document["data"]["attachments"]
        assert (file.get("error"), file["sha256"]) == (None, DIGEST)
