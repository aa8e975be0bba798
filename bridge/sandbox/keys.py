"""Where the sandbox's handlers find what they share: on the application, and on each request."""

from typing import Final

from aiohttp import web

from bridge.sandbox.faults import StandingRule
from bridge.sandbox.state import Exchange, SandboxState
from bridge.sandbox.tokens import Token

STATE: Final = web.AppKey("state", SandboxState)
EXCHANGE: Final = web.RequestKey("exchange", Exchange)
TOKEN: Final = web.RequestKey("token", Token)
CHOSEN_RULE: Final = web.RequestKey("chosen_rule", StandingRule)
