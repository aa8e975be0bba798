"""The examples in config/ against the sandbox, several areas at once, reload, and a dry run."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from process_client import AGENT, Client, event, new_number, new_reference
from process_daemon import Daemon, minimal_settings, running_site
from process_upstream import NEW, eventually

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import make_token

pytestmark = pytest.mark.process

BRIDGE_TOML = Path(__file__).parents[2] / "config" / "bridge.toml"
FRAGMENT = Path(__file__).parents[1] / "data" / "samples" / "watemplate_fragment.json"
SETTLE_S = 0.3


def token(area: str) -> str:
    return make_token(b"sandbox", area=area)


@dataclass
class Site:
    """A daemon, and the sandbox that it sends to."""

    daemon: Daemon
    sandbox: Client

    def errands(self, reference: str) -> list[dict[str, Any]]:
        """Return a call's errands as the sandbox holds them, with those of messages."""
        found = self.sandbox.get("/_sandbox/errands").json
        return [one for one in found if reference in json.dumps(one["attributes"])]

    def take(self, *events: dict[str, Any]) -> None:
        for one in events:
            reply = self.daemon.events.post(one)
            assert reply.status == 202, reply
        self.daemon.drain()


# Where it is evening now, and not yet late.
EVENING = next(
    f"Etc/GMT{hours:+}"
    for hours in range(-14, 13)
    if datetime.now(ZoneInfo(f"Etc/GMT{hours:+}")).hour == 18
)


def shown() -> str:
    """Return config/bridge.toml with all that it leaves out by a hash."""
    # There is no certificate here.
    text = re.sub(r"^#(?!tls_)(?=[a-z\[])", "", BRIDGE_TOML.read_text(), flags=re.MULTILINE)
    # It is evening at the site, whenever this runs.
    text = text.replace('"Asia/Kuala_Lumpur"', f'"{EVENING}"')
    head, *parts = re.split(r"^(?=name = )", text, flags=re.MULTILINE)
    areas = (re.match(r'name = "(.*)"', part) for part in parts)
    named = [(area[1] if area else "", part) for area, part in zip(areas, parts, strict=True)]
    return head.replace("eyJhbGci", token("demo")) + "".join(
        part.replace("eyJhbGci", token(area)) for area, part in named
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("examples")
    file = folder / "bridge.toml"
    file.write_text(shown())
    with BackgroundServer(create_app(), listen(0)) as sandbox:
        settings = minimal_settings(sandbox.url, folder)
        settings["BRIDGE_CENTION__TOKEN"] = token("demo")
        settings["BRIDGE_CALLS__SETTLE_SECONDS"] = str(SETTLE_S)
        settings["BRIDGE_CENTION__REQUESTS_PER_MINUTE"] = "1000000"
        daemon = Daemon(settings, ["--config", file]).start()
        try:
            yield Site(daemon, Client(sandbox.url))
        finally:
            daemon.close()


def test_the_example_who_waited_long_and_gave_up_is_rung_back(examples: Site) -> None:
    reference, number = new_reference(), "+60123456701"
    day = datetime.now(ZoneInfo(EVENING)).replace(hour=10, minute=0, second=0, microsecond=0)
    wednesday = day - timedelta(days=(day.weekday() - 2) % 7 or 7)
    queue = {"queueName": "Sales", "queueNumber": "100", "callerNumber": number}
    examples.take(
        event("call.queued", reference, occurredAt=wednesday.isoformat(), **queue),
        event(
            "call.abandoned",
            reference,
            occurredAt=(wednesday + timedelta(seconds=91)).isoformat(),
            **queue,
        ),
    )
    (errand,) = examples.errands(reference)
    msg = errand["attributes"]["msg"]
    line = f"ref: {msg['message_id']}"
    assert errand["area"] == "sales"
    assert msg == {
        "message_id": msg["message_id"],
        "name": number,
        "from": number,
        "subject": f"Missed: {number}",
        "body": f"Please ring {number} back: waited 91 seconds.\n\n{line}",
        "html_body": f"<p>Please ring {number} back.</p>\n<p>{line}</p>",
    }
    assert not errand["closed"]


def test_the_example_who_gives_up_outside_of_hours_is_told_when_to_call(examples: Site) -> None:
    reference, number = new_reference(), "+60123456702"
    examples.take(event("call.abandoned", reference, callerNumber=number, callerName="Aisyah"))
    (errand,) = examples.errands(reference)
    attributes = errand["attributes"]
    assert (errand["area"], errand["closed"]) == ("closed-now", True)
    assert attributes.keys() == {"msg", "extradata", "answer", "watemplate"}
    assert attributes["msg"]["from"] == number
    assert attributes["answer"] == {"user_type": "cention", "user_id": "17"}
    assert attributes["watemplate"] == {
        "elementname": "closed_now",
        "namespace": "0a1b2c3d_4e5f",
        "params": [{"name": "Aisyah", "hours": "weekdays from 8 to 17"}],
    }
    assert attributes["watemplate"].keys() == json.loads(FRAGMENT.read_bytes()).keys()


def test_the_same_person_is_told_once(examples: Site) -> None:
    number, references = "+60123456703", [new_reference(), new_reference()]
    for reference in references:
        examples.take(event("call.abandoned", reference, callerNumber=number))
    assert [len(examples.errands(one)) for one in references] == [1, 0]
    assert examples.daemon.metric("bridge_watemplates_unsent_total", reason="repeated") >= 1


def test_the_example_an_appointment_is_confirmed_after_a_callback(examples: Site) -> None:
    asked, rung, number = new_reference(), new_reference(), "+60123456704"
    examples.take(
        event("callback.requested", asked, callerNumber=number, callerName="Aisyah", **AGENT),
        event(
            "outbound.ended",
            rung,
            relatedReferenceId=asked,
            dialedNumber=number,
            extraData={"appointmentTimestamp": "1593047865"},
            **AGENT,
        ),
    )
    callback, message = sorted(
        examples.errands(asked), key=lambda one: "watemplate" in one["attributes"]
    )
    assert callback["ended_at"] is not None
    assert message["area"] == "appointment"
    (params,) = message["attributes"]["watemplate"]["params"]
    assert params["name"] == "Aisyah"
    assert re.fullmatch(r"2020-06-2[45] \d\d:17", params["time"])


def test_the_example_calls_to_the_information_line_are_closed_from_the_start(
    examples: Site,
) -> None:
    reference = new_reference()
    call = {"queueName": "Information", "callerNumber": new_number(), "callerName": "<Aisyah>"}
    examples.take(
        event("call.answered", reference, extraData={"comment": "Bus 7"}, **call | AGENT),
        event("call.ended", reference, queueName="Information", **AGENT),
    )
    (errand,) = examples.errands(reference)
    assert errand["closed"]
    assert errand["end_count"] == 0
    assert errand["attributes"]["answer"] == {
        "user_type": "cention",
        "user_id": "17",
        "subject": "Information",
        "body": "<Aisyah> was told on the phone. Bus 7",
        "html_body": "<p>&lt;Aisyah&gt; was told on the phone.</p>",
    }


def test_every_channel_of_a_contact_reaches_the_card(examples: Site) -> None:
    number = "+60123456705"
    contact = {
        "email": ["tester.c3@cention.se", "tester.c3.2@cention.se"],
        "facebook": ["12345@facebook.com"],
        "vk": ["centionvk-cc-12345"],
        "line": ["centionline-c12345"],
        "voice": ["+60123456706"],
        "custom": [{"label": "ID", "value": "AB07090"}, {"label": "Address", "value": "KL"}],
    }
    examples.take(
        event("call.queued", callerNumber=number, callerName="Tester Cention", contact=contact)
    )
    cards = examples.sandbox.get("/_sandbox/contacts").json
    (card,) = [one for one in cards if number in json.dumps(one)]
    assert card["contacts"] == {
        "name": "Tester Cention",
        **contact,
        "voice": [number, "+60123456706"],
    }


TWO_AREAS = """
[cention]
requests_per_minute = 60000
[[routes]]
name = "sales"
queue_names = ["Sales"]
token = "{sales}"
[[routes]]
name = "north"
dest_numbers = ["+60374571239"]
workspace = "north"
token = "{north}"
device_id = 7
extension_id = 8
queue_name = "North"
queue_number = "9"
"""


def test_queues_and_called_numbers_reach_their_areas_and_workspaces(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(TWO_AREAS.format(sales=token("sales-area"), north=token("north-area")))
    app = create_app(SandboxOptions(workspaces=("demo", "north")))
    with BackgroundServer(app, listen(0)) as sandbox:
        settings = minimal_settings(sandbox.url, tmp_path)
        settings["BRIDGE_CENTION__TOKEN"] = token("main-area")
        daemon = Daemon(settings, ["--config", file]).start()
        try:
            site = Site(daemon, Client(sandbox.url))
            main, sales, north = (new_reference() for _ in range(3))
            person = {"callerNumber": "+60123456709"}
            site.take(
                event("call.answered", main, **person, **AGENT),
                event("call.answered", sales, **person, **AGENT | {"queueName": "Sales"}),
                event(
                    "call.answered",
                    north,
                    **person,
                    destNumber="+60374571239",
                    queueName=None,
                    queueNumber=None,
                ),
                event("call.ended", north, destNumber="+60374571239", queueName=None),
            )
            found = {
                name: (errand["workspace"], errand["area"])
                for name, reference in (("main", main), ("sales", sales), ("north", north))
                for errand in site.errands(reference)
            }
            assert found == {
                "main": ("demo", "main-area"),
                "sales": ("demo", "sales-area"),
                "north": ("north", "north-area"),
            }
            (errand,) = site.errands(north)
            data = errand["attributes"]["integrationData"]
            assert (data["deviceId"], data["queueName"], data["queueNumber"]) == (7, "North", "9")
            assert errand["ended_at"] is not None
            # One card a workspace, whatever the route.
            cards = site.sandbox.get("/_sandbox/contacts").json
            assert sorted(one["workspace"] for one in cards) == ["demo", "north"]
        finally:
            daemon.close()


RULE = """
[[rules]]
name = "answered"
on = ["call.answered"]
do = ["create_errand"]
subject = "{subject}"
"""


def test_rules_are_read_again_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(RULE.format(subject="First {{ caller }}"))
    with running_site(tmp_path, "--config", file) as site:

        def subject() -> str:
            reference = new_reference()
            site.settle(
                event("call.answered", reference, callerNumber=new_number(), callerName="A")
            )
            (new,) = [one for one in site.upstream.of_kind(NEW) if reference in str(one.body)]
            return str(new.attributes["msg"]["subject"])

        assert subject() == "First A"
        file.write_text(RULE.format(subject="Second {{ caller }}"))
        assert site.daemon.reload()["event"] == "settings read again"
        assert subject() == "Second A"
        file.write_text(RULE.format(subject="Third {{ nobody }}"))
        refused = site.daemon.reload()
        assert refused["event"].startswith("settings refused")
        assert refused["problem"].startswith("rules.0.subject: can't be filled in")
        assert subject() == "Second A"


def test_a_dry_run_keeps_everything_and_sends_nothing(tmp_path: Path) -> None:
    with running_site(tmp_path, "--dry-run") as site:
        reference, number = new_reference(), new_number()
        site.accept(
            event("call.answered", reference, callerNumber=number, callerName="Aisyah", **AGENT),
            event("call.ended", reference, **AGENT),
        )
        line = site.daemon.wait_line(
            lambda one: one["event"] == "dry run" and one["type"] == "call.ended"
        )
        assert (line["route"], line["rule"], line["reference"]) == (
            "default",
            "default-end",
            reference,
        )
        assert line["would_send"] == ["default/end_errand"]
        (first,) = [one for one in site.daemon.log() if one.get("type") == "call.answered"]
        assert first["would_send"] == ["default/contact_card", "default/new_errand"]
        assert "Aisyah" not in str(site.daemon.lines)
        assert number not in str(site.daemon.lines)
        pending = {"contact_card": 1, "end_errand": 1, "new_errand": 1}
        eventually(lambda: site.daemon.figures().pending == pending)
        assert site.upstream.seen == []
        assert any("nothing is sent" in one["event"] for one in site.daemon.log())
