import base64
import json

import pytest

from bridge.app.measured import Verdict
from bridge.app.oneview_checkup import AgentFacts, judge_agent
from bridge.domain.outcomes import Failure, Reply
from bridge.oneview.models import AgentInfo

INFO = AgentInfo(id="1", status="online")


def token(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.x"


def facts(
    reply: Reply = Reply(status=200),  # noqa: B008 - it is frozen
    info: AgentInfo | None = INFO,
    said: str = "opaque",
) -> AgentFacts:
    return AgentFacts(place="agents.0", email="ann@example.com", token=said, reply=reply, info=info)


@pytest.mark.parametrize(
    ("given", "verdict", "words"),
    [
        (facts(), Verdict.OK, "online"),
        (facts(said=token(email="Ann@Example.com")), Verdict.OK, "online"),
        (facts(said=token(email="bob@example.com")), Verdict.WARN, "another e-mail"),
        (facts(Reply(status=401), None), Verdict.FAIL, "not taken (401)"),
        (facts(Reply(status=404), None), Verdict.FAIL, "404"),
        (facts(Reply(failure=Failure.LOST), None), Verdict.FAIL, "no answer"),
    ],
)
def test_an_agents_token_is_judged_by_what_one_view_says(
    given: AgentFacts, verdict: Verdict, words: str
) -> None:
    found = judge_agent(given)
    assert found.verdict is verdict
    assert words in found.detail
    assert "example.com" not in f"{found.detail}{found.advice}"
