from collections.abc import Mapping
from typing import Any, cast

import pytest

from bridge.cention.administration import AdministrationClient, AdministrationOptions
from bridge.domain.centre_outcomes import Fate, Told, judge, new_id
from bridge.domain.centre_plan import Action
from bridge.domain.centre_values import Kind
from bridge.domain.outcomes import Failure, Reply
from bridge.wire.exchange import Answer, Exchange

OPTIONS = AdministrationOptions(
    scope="https://api.example.com/s/space",
    workspace="space",
    key_id="xyz",
    key_secret="secret",
)


class Line:
    """Stands for an `Exchange`: answers all alike, and keeps what was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Mapping[str, str], bytes | None]] = []

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, **_: Any
    ) -> Answer:
        self.asked.append((method, url, headers, body))
        return self.answer


def client_on(line: Line) -> AdministrationClient:
    return AdministrationClient(cast("Exchange", line), OPTIONS)


async def test_a_request_is_signed_as_the_page_shows() -> None:
    line = Line(Answer(Reply(status=200), {"id": 1}))
    told = await client_on(line).update(Kind.ORGANIZATION, 1, {"name": "myorgname"})
    [(method, url, headers, body)] = line.asked
    assert (method, url, body) == (
        "PUT",
        "https://api.example.com/s/space/v1/org/1",
        b'{"name":"myorgname"}',
    )
    assert headers == {
        # Of `xyz:space:/v1/org/1:myorgname`, by openssl dgst -sha256 -hmac secret.
        "Authorization": "CENTION1-HMAC-SHA256 "
        "xyz,a66f0f836c075414e525052df5af4bc7e84b7a67a3518ad88f70e0c83f72c8ce",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    assert told == Told(status=200, document={"id": 1})


async def test_a_deletion_has_no_body() -> None:
    line = Line(Answer(Reply(status=200), {"id": 6, "deleted": True}))
    await client_on(line).delete(Kind.SIP, 6)
    [(method, url, headers, body)] = line.asked
    assert (method, url, body) == (
        "DELETE",
        "https://api.example.com/s/space/v1/routing/sip/6",
        None,
    )
    assert "Content-Type" not in headers


async def test_an_error_is_told_in_centions_words() -> None:
    line = Line(Answer(Reply(status=400), {"error": "name is taken"}))
    told = await client_on(line).create(Kind.TAG, {"tag_name": "x"})
    assert (told.status, told.error) == (400, "name is taken")


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(OPTIONS)


@pytest.mark.parametrize(
    ("action", "told", "fate"),
    [
        (Action.CREATE, Told(status=201, document={"id": 4}), Fate.DONE),
        (Action.CREATE, Told(status=200, document={"id": "4"}), Fate.DONE),
        (Action.CREATE, Told(status=200, document={"id": True}), Fate.UNCLEAR),
        (Action.CREATE, Told(status=302), Fate.REFUSED),
        (Action.CREATE, Told(status=404), Fate.REFUSED),
        (Action.CREATE, Told(status=500, error="no"), Fate.UNCLEAR),
        (Action.CREATE, Told(status=200, document={"id": "9" * 19}), Fate.UNCLEAR),
        (Action.CREATE, Told(status=200, document={"id": 2**63}), Fate.UNCLEAR),
        (Action.CREATE, Told(status=200, error="no"), Fate.REFUSED),
        (Action.CREATE, Told(status=200, error="no", document={"id": 4}), Fate.UNCLEAR),
        (Action.CREATE, Told(status=503), Fate.UNCLEAR),
        (Action.CREATE, Told(status=503, retry_after_s=0), Fate.UNTOUCHED),
        (Action.UPDATE, Told(status=200), Fate.UNCLEAR),
        (Action.UPDATE, Told(status=204), Fate.DONE),
        (Action.UPDATE, Told(status=200, document={"id": 4}), Fate.DONE),
        (Action.DELETE, Told(status=200, document={"deleted": False}), Fate.REFUSED),
        (Action.UPDATE, Told(status=404), Fate.REFUSED),
        (Action.DELETE, Told(status=404), Fate.REFUSED),
        (Action.DELETE, Told(status=404, error="gone"), Fate.DONE),
        (Action.DELETE, Told(status=400), Fate.REFUSED),
        (Action.DELETE, Told(failure=Failure.LOST), Fate.UNCLEAR),
        (Action.CREATE, Told(failure=Failure.NOT_CONNECTED), Fate.UNTOUCHED),
    ],
)
def test_what_an_answer_means(action: Action, told: Told, fate: Fate) -> None:
    assert judge(action, told) is fate


def test_a_tags_id_is_not_its_tag_id() -> None:
    assert new_id(Told(document={"id": 37, "tag_id": 22})) == 37
