"""What `doctor` looks at of One View: whether each agent's token is taken, and whose it is.

It asks `GET /v1/info`, which changes nothing. Of an agent it names the place in the settings.
"""

import asyncio
from typing import Final

from msgspec import Struct

from bridge.app.measured import Finding, Verdict
from bridge.app.oneview import oneview_options
from bridge.domain.jwt import read_payload
from bridge.domain.outcomes import Reply
from bridge.oneview.client import Credentials, OneViewClient, OneViewOptions
from bridge.oneview.models import AgentInfo
from bridge.ops.clock import SystemClock
from bridge.settings import Settings
from bridge.settings.sections import secret_text
from bridge.wire.exchange import Exchange, open_session

# Each is a request beside the bridge's own pace.
ASKED_MAX: Final = 20
ANSWER_S: Final = 10.0
# Where a token may say whose it is (OpenID Connect Core 1.0, "Standard Claims").
_CLAIMS: Final = ("email", "preferred_username", "upn")


class AgentFacts(Struct, frozen=True, kw_only=True):
    """What was found out about an agent; `email` is what the settings say."""

    place: str
    email: str
    token: str
    reply: Reply
    info: AgentInfo | None


def look_at_agents(settings: Settings) -> list[Finding]:
    """Ask One View about each agent."""
    facts = asyncio.run(_ask(settings))
    findings = [judge_agent(one) for one in facts]
    left = len(settings.agents) - len(facts)
    if left > 0:
        detail = f"{left} further agents were not asked for, to stay within the pace"
        findings.append(Finding("One View", Verdict.NOTE, detail))
    return findings


async def _ask(settings: Settings) -> list[AgentFacts]:
    async with open_session() as session:
        exchange = Exchange(session, SystemClock())

        async def ask(number: int) -> AgentFacts:
            one = settings.agents[number]
            token = secret_text(one.token)
            options = OneViewOptions(
                base_url=oneview_options(settings, b"").base_url,
                agents={"": Credentials(one.email, token)},
                timeout_s=ANSWER_S,
            )
            reply, info = await OneViewClient(exchange, options).agent_info("")
            place = f"agents.{number}"
            return AgentFacts(place=place, email=one.email, token=token, reply=reply, info=info)

        some = range(min(len(settings.agents), ASKED_MAX))
        return list(await asyncio.gather(*map(ask, some)))


def judge_agent(facts: AgentFacts) -> Finding:
    """Judge what One View says of an agent."""
    name, status = f"One View, {facts.place}", facts.reply.status
    if status in {401, 403}:
        what = "the token is not taken" if status == 401 else "the token may not ask"
        advice = f"put the agent's own token into the secret file {facts.place}.token"
        return Finding(name, Verdict.FAIL, f"{what} ({status})", advice)
    if facts.info is None:
        said = str(status) if status else "no answer that can be read"
        advice = "see whether oneview.base_url is right"
        return Finding(name, Verdict.FAIL, f"GET /v1/info: {said}", advice)
    said = _said(facts.token)
    if said and said.lower() != facts.email.lower():
        return Finding(
            name,
            Verdict.WARN,
            "the token names another e-mail than the settings do",
            "see whether agents' tokens were mixed up",
        )
    return Finding(name, Verdict.OK, f"is known there, and {facts.info.status}")


def _said(token: str) -> str:
    """Return the e-mail that a token names; empty where it names none."""
    payload = read_payload(token) or {}
    return next(
        (value for key in _CLAIMS if isinstance(value := payload.get(key), str) and "@" in value),
        "",
    )
