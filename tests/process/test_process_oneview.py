"""An agent on the phone gets no chats: the daemon, and a sandbox that is One View as well."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process_client import Client, event, new_number, new_reference
from process_daemon import Daemon, minimal_settings, put_store
from process_upstream import eventually

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import make_token

pytestmark = pytest.mark.process
ANN, BOB = "ann@example.com", "Bob@Example.com"
# What a daemon would be that tells, at its end, which modules it has loaded.
TELLING = (
    "import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules, flush=True));"
    "from bridge.__main__ import main; main()"
)
DESKS = {ANN: 1000, BOB: 1001}
RULES = """
[[rules]]
on = ["call.answered"]
do = ["upsert_contact", "create_errand", "pick_ticket"]
[rules.when]
expression = "extraData.ticketId"

[[rules]]
on = ["call.ended"]
do = ["end_errand", "close_room"]
[rules.when]
expression = "extraData.resolved"
"""


class Desk:
    """A daemon, and a sandbox whose agents are the daemon's."""

    def __init__(self, daemon: Daemon, sandbox: Client, config: Path) -> None:
        self.daemon = daemon
        self.sandbox = sandbox
        self.config = config

    def page(self, name: str, said: object = None, *, method: str = "") -> Any:
        body = None if said is None else json.dumps(said).encode()
        how = method or ("GET" if body is None else "POST")
        reply = self.sandbox.request(how, f"/_sandbox/{name}", body, {})
        assert reply.status < 300, reply
        return json.loads(reply.body) if reply.body else None

    def agent(self, email: str) -> dict[str, Any]:
        found: dict[str, Any] = next(
            one for one in self.page("oneview/agents") if one["email"] == email
        )
        return found

    def status(self, email: str) -> str:
        return str(self.agent(email)["status"])

    def set(self, email: str, **wanted: object) -> None:
        self.page(f"oneview/agents/{email}", wanted, method="PUT")

    def becomes(self, email: str, status: str) -> None:
        assert eventually(lambda: self.status(email) == status), self.agent(email)

    def say(self, event_type: str, reference: str, email: str = "", **fields: Any) -> None:
        desk = {"deviceId": DESKS[email], "extensionId": DESKS[email]} if email else {}
        sent = event(event_type, reference, callerNumber=new_number(), **{**desk, **fields})
        reply = self.daemon.events.post(sent)
        assert reply.status == 202, reply

    def rest(self) -> None:
        """Wait until nothing is to be done about anybody."""
        eventually(lambda: self.daemon.metric("bridge_agents", presence="free") == len(DESKS))


def _agent(one: tuple[int, tuple[str, int]]) -> str:
    number, (email, place) = one
    return (
        f"[[agents]]\ndevice_id = {place}\nextension_id = {place}\n"
        f'email = "{email}"\ntoken = "token-{number}"\n'
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("oneview")
    put_store(folder)
    config = folder / "bridge.toml"
    config.write_text(RULES + "".join(map(_agent, enumerate(DESKS.items()))), encoding="utf-8")
    options = SandboxOptions(requests_per_minute=100_000)
    with BackgroundServer(create_app(options), listen(0)) as sandbox:
        settings = minimal_settings(sandbox.url, folder)
        settings["BRIDGE_CENTION__TOKEN"] = make_token(options.token_key)
        settings["BRIDGE_CENTION__REQUESTS_PER_MINUTE"] = "100000"
        settings["BRIDGE_ONEVIEW__BASE_URL"] = f"{sandbox.url}/cs-chat-ticket"
        settings["BRIDGE_ONEVIEW__RATE_PER_MINUTE"] = "100000"
        made = Desk(Daemon(settings, ["--config", config]), Client(sandbox.url), config)
        for number, email in enumerate(DESKS):
            made.page("oneview/agents", {"email": email, "token": f"token-{number}"})
        try:
            made.daemon.start()
            yield made
        finally:
            made.daemon.close()


def test_an_agent_is_offline_during_a_call_and_online_after_it(desk: Desk) -> None:
    call = new_reference()
    desk.say("call.answered", call, ANN)
    desk.becomes(ANN, "offline")
    assert desk.status(BOB) == "online"
    desk.say("call.ended", call, ANN)
    desk.becomes(ANN, "online")
    desk.rest()
    assert desk.daemon.metric("bridge_presence_changes_total", to="away", outcome="set") >= 1
    assert desk.daemon.metric("bridge_presence_seconds_count", to="back") >= 1


def test_a_call_that_is_passed_on_takes_the_other_agent_along(desk: Desk) -> None:
    call = new_reference()
    desk.say("call.answered", call, ANN)
    desk.becomes(ANN, "offline")
    desk.say("call.transferred", call, BOB)
    desk.becomes(BOB, "offline")
    desk.becomes(ANN, "online")
    desk.say("call.ended", call)
    desk.becomes(BOB, "online")
    desk.rest()


def test_who_sits_at_anothers_desk_is_known_by_e_mail_or_id(desk: Desk) -> None:
    for told in (BOB.lower(), desk.agent(BOB)["id"]):
        call = new_reference()
        desk.say("call.answered", call, ANN, agentId=told)
        desk.becomes(BOB, "offline")
        assert desk.status(ANN) == "online"
        desk.say("call.ended", call, ANN, agentId=told)
        desk.becomes(BOB, "online")
    desk.rest()


def test_who_changed_their_own_status_meanwhile_keeps_it(desk: Desk) -> None:
    call = new_reference()
    desk.say("call.answered", call, ANN)
    desk.becomes(ANN, "offline")
    desk.set(ANN, status="break")
    desk.say("call.ended", call, ANN)
    desk.rest()
    assert desk.status(ANN) == "break"
    desk.set(ANN, status="online")


def test_a_kill_in_the_middle_loses_nobodys_status(desk: Desk) -> None:
    call, other = new_reference(), new_reference()
    desk.set(BOB, status="meeting")
    desk.say("call.answered", call, ANN)
    desk.becomes(ANN, "offline")
    desk.page("faults", [{"kinds": ["oneview_status"], "drop_answer": True, "times": 1}])
    desk.say("call.answered", other, BOB)
    desk.becomes(BOB, "offline")
    desk.daemon.kill9()
    desk.page("faults", method="DELETE")
    desk.daemon.start()
    desk.say("call.ended", call, ANN)
    desk.say("call.ended", other, BOB)
    desk.becomes(ANN, "online")
    desk.becomes(BOB, "meeting")
    desk.set(BOB, status="online")
    desk.rest()


def test_after_an_outage_only_the_newest_wish_is_sent(desk: Desk) -> None:
    kinds = ["oneview_info", "oneview_status"]
    desk.page("faults", [{"kinds": kinds, "status": 503}])
    before = len(desk.agent(ANN)["changes"])
    for _ in range(3):
        call = new_reference()
        desk.say("call.answered", call, ANN)
        desk.say("call.ended", call, ANN)
    call = new_reference()
    desk.say("call.answered", call, BOB)
    desk.page("faults", method="DELETE")
    desk.becomes(BOB, "offline")
    desk.say("call.ended", call, BOB)
    desk.becomes(BOB, "online")
    desk.rest()
    assert len(desk.agent(ANN)["changes"]) == before


def test_a_rule_picks_the_ticket_of_a_call_and_closes_its_room(desk: Desk) -> None:
    desk.page("oneview/tickets", {"id": "t-1", "email": ANN})
    call = new_reference()
    desk.say("call.answered", call, ANN, extraData={"ticketId": "t-1"})

    def ticket() -> dict[str, Any]:
        (found,) = desk.page("oneview/tickets")
        return dict(found)

    assert eventually(lambda: ticket()["pickedTimestamp"])
    assert not ticket()["isChatRoomClosed"]
    desk.say("call.ended", call, extraData={"resolved": "yes"})
    assert eventually(lambda: ticket()["isChatRoomClosed"])
    assert eventually(
        lambda: desk.daemon.metric(
            "bridge_deliveries_total", kind="close_room", outcome="delivered"
        )
    )
    desk.rest()


def test_one_agents_refused_token_stops_nobody_else(desk: Desk) -> None:
    desk.set(ANN, refused=True)
    first, second = new_reference(), new_reference()
    desk.say("call.answered", first, ANN)
    desk.say("call.answered", second, BOB)
    desk.becomes(BOB, "offline")
    assert desk.status(ANN) == "online"
    desk.say("call.ended", second, BOB)
    desk.say("call.ended", first, ANN)
    desk.becomes(BOB, "online")
    desk.set(ANN, refused=False)


def test_who_is_taken_out_of_the_settings_during_a_call_is_put_back_after_it(desk: Desk) -> None:
    text = desk.config.read_text(encoding="utf-8")
    call = new_reference()
    desk.say("call.answered", call, BOB)
    desk.becomes(BOB, "offline")
    desk.config.write_text(RULES + _agent((0, (ANN, DESKS[ANN]))), encoding="utf-8")
    try:
        desk.daemon.reload()
        desk.say("call.ended", call)
        desk.becomes(BOB, "online")
    finally:
        desk.config.write_text(text, encoding="utf-8")
        desk.daemon.reload()


def test_the_log_tells_nobodys_name(desk: Desk) -> None:
    text = "\n".join(desk.daemon.lines).lower()
    assert "presence" in text
    for told in (ANN, BOB, "token-0", "token-1"):
        assert told.lower() not in text
        assert told.lower() not in desk.daemon.admin.get("/metrics").body.decode().lower()


def test_without_one_view_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    put_store(tmp_path)
    settings = minimal_settings("http://127.0.0.1:9", tmp_path)
    daemon = Daemon(settings, command=(sys.executable, "-c", TELLING, "run")).start()
    try:
        sent = event("call.answered", callerNumber=new_number(), deviceId=1, extensionId=1)
        assert daemon.events.post(sent).status == 202
        assert daemon.events.post(event("agent.unavailable")).status == 202
        assert daemon.terminate() == 0
    finally:
        daemon.close()
    (loaded,) = [line["text"] for line in daemon.log() if "bridge.services" in str(line)]
    modules = loaded.split()
    assert "bridge.services.ingest" in modules
    of_it = [one for one in modules if "oneview" in one or "presence" in one]
    # The tables are those of every store.
    assert of_it == ["bridge.storage.presence_tables"]
