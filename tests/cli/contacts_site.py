"""One person in a store full of others, and the shell that is to forget them."""

import json
import random
from typing import Any

from cli_site import CUID, NAME, NUMBER, Site, event

ADDRESS = "ada@example.com"
SAID = ("broken tooth", "pbx.example/rec/1", "Zürich ÅÄÖ")
# However they wrote it: the beginnings of the number are many people's, its end is theirs.
SECRETS = (NUMBER[1:], "123456789", "345 6789", "345-6789", NAME, CUID, ADDRESS, *SAID)
OTHER = {"callerNumber": "+60198765432", "callerName": "Grace Hopper", "cuid": "7777-00-1111"}


def left(site: Site, secrets: tuple[str, ...] = SECRETS) -> list[str]:
    """Return what of these still stands in the files of the store."""
    raw = site.raw()
    return [one for one in secrets if one.encode() in raw or json.dumps(one).encode() in raw]


def forget(site: Site, text: str = NUMBER, *args: str) -> str:
    """Forget somebody, which has to succeed, and return what is said about it."""
    result = site.run("contacts", "forget", text, "--yes", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def fill(site: Site) -> None:
    """Take many calls in, the person's among them, one by one: rows move from page to page."""
    chance = random.Random(2)  # noqa: S311 - made-up calls
    documents = []
    for number in range(400):
        who: dict[str, Any] = {
            "callerNumber": f"+6012{chance.randrange(10**6, 10**7)}",
            "callerName": f"Caller {number}",
            "cuid": f"cuid-{number}",
        }
        if number % 20 == 0:
            who = {
                "callerNumber": chance.choice(["012-345 6789", NUMBER, "0060 12 345-6789"]),
                "callerName": NAME,
                "cuid": CUID,
                "contact": {"email": [ADDRESS]},
                "link": "https://pbx.example/rec/1",
            }
        comment = "x" * chance.randrange(600)
        beside = {"comment": f"{comment} Zürich ÅÄÖ", "callReason": "broken tooth"}
        for kind in ("call.queued", "call.answered", "call.ended"):
            said = event(kind, referenceId=f"r{number}", minutes=chance.random() * 600, **who)
            documents.append({**said, "extraData": beside if number % 20 == 0 else {}})
    chance.shuffle(documents)
    site.take(*documents)
