import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from call_world import DESK, GUIDE, ROUTE, World, event
from msgspec.structs import replace

from bridge.domain.contacts import Claim
from bridge.domain.deliveries import NewErrand
from bridge.domain.errands import Guide, message_id
from bridge.domain.events import Agent, CallEvent, ContactDetails
from bridge.domain.markers import marker
from bridge.domain.msisdn import read_number
from bridge.domain.routes import RouteTable
from bridge.domain.rules import Action, Rule, RuleBook

ANSWERED = event("call.answered", 1)
WITHHELD = replace(
    ANSWERED, caller=read_number("anonymous", region=None), caller_text="anonymous", caller_name=""
)
INVALID = replace(WITHHELD, caller=read_number("1001", region=None), caller_text="1001")


def created(of: CallEvent, guide: Guide = GUIDE) -> NewErrand:
    (errand,) = World(guide).take(of).created
    return errand


def claimed(of: CallEvent, guide: Guide = GUIDE) -> Claim | None:
    last = World(guide).take(of).last
    assert last is not None
    return last.asked.claim


def test_the_message_id_comes_from_the_event_alone() -> None:
    assert created(ANSWERED).message_id == message_id(replace(ANSWERED, caller_name="Eve"))
    assert message_id(ANSWERED) != message_id(replace(ANSWERED, source="sipgate"))


def test_the_body_ends_with_the_marker_whatever_the_template() -> None:
    rule = Rule(
        on=frozenset({ANSWERED.type}),
        do=frozenset({Action.CREATE_ERRAND}),
        body="Hi {{ caller }}",
        html_body="<b>{{ caller }}</b>",
    )
    errand = created(
        replace(ANSWERED, caller_name="<Ada>"), replace(GUIDE, rules=RuleBook((rule,)))
    )
    line = marker(errand.message_id)
    assert errand.body == f"Hi <Ada>\n\n{line}"
    assert errand.html_body == f"<b>&lt;Ada&gt;</b>\n<p>{line}</p>"


def test_the_caller_is_named_by_name_else_number_else_anonymous() -> None:
    assert created(ANSWERED).name == "Ada"
    assert created(replace(ANSWERED, caller_name="")).name == "+60123456789"
    assert created(WITHHELD).name == "Anonymous"


def test_a_withheld_caller_gets_a_sender_that_no_other_call_has_and_no_cuid() -> None:
    one = created(replace(WITHHELD, cuid="c1"))
    other = created(replace(WITHHELD, reference_id="r2", event_id="other"))
    assert one.sender.startswith("anonymous-")
    assert one.sender != other.sender
    assert one.cuid == ""


def test_a_bad_caller_goes_out_with_what_is_known() -> None:
    errand = created(replace(INVALID, cuid="c1"))
    assert errand.name == "1001"
    assert errand.sender.startswith("anonymous-")
    assert errand.cuid == "c1"


def test_what_earlier_events_of_the_call_said_is_used() -> None:
    queued = event("call.queued", 0, cuid="c7", paging_name="GP office")
    (errand,) = World().take(queued, replace(ANSWERED, caller_name="")).created
    assert errand.name == "Ada"
    assert errand.cuid == "c7"
    assert errand.integration is not None
    assert errand.integration.paging_name == "GP office"


def test_without_an_agent_what_is_known_of_the_call_goes_to_extradata() -> None:
    errand = created(replace(ANSWERED, agent=None, comment="hot", extra={"zone": "A"}))
    assert errand.integration is None
    assert errand.extradata == {
        "zone": "A",
        "referenceId": "r1",
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
        "comment": "hot",
    }


def test_the_routes_agent_serves_where_the_event_names_none() -> None:
    desk = Agent(7, 8)
    guide = replace(GUIDE, routes=RouteTable((), replace(ROUTE, agent=desk)))
    world = World(guide).take(replace(ANSWERED, agent=None), event("call.ended", 5, agent=None))
    assert world.created[0].integration is not None
    assert world.created[0].integration.agent == desk
    assert world.ended[0].agent == desk


def test_times_are_told_in_the_routes_zone() -> None:
    guide = replace(GUIDE, zones={"default": ZoneInfo("Asia/Kuala_Lumpur")})
    assert "+08" in created(ANSWERED, guide).body
    assert "UTC" in created(ANSWERED).body


def test_an_ignored_event_does_nothing() -> None:
    rule = Rule(on=frozenset({ANSWERED.type}), do=frozenset({Action.IGNORE}))
    guide = replace(GUIDE, rules=RuleBook((rule,)))
    assert World(guide).take(ANSWERED).created == []
    assert claimed(ANSWERED, guide) is None


@pytest.mark.parametrize("of", [WITHHELD, INVALID])
def test_no_card_is_wanted_for_a_caller_without_a_valid_number(of: CallEvent) -> None:
    assert claimed(of) is None


@pytest.mark.parametrize("of", [WITHHELD, INVALID])
def test_a_card_is_wanted_all_the_same_where_a_cuid_or_a_channel_is_known(of: CallEvent) -> None:
    by_cuid = claimed(replace(of, cuid="c1"))
    by_mail = claimed(replace(of, contact=ContactDetails(email=("a@b.example",))))
    assert by_cuid is not None
    assert by_cuid.card.voice == ()
    assert by_mail is not None
    assert by_mail.card.email == ("a@b.example",)


def test_a_shared_number_never_goes_on_a_card() -> None:
    guide = replace(GUIDE, shared_numbers=frozenset({"+60123456789"}))
    assert claimed(ANSWERED, guide) is None
    with_cuid = claimed(replace(ANSWERED, cuid="c1"), guide)
    assert with_cuid is not None
    assert with_cuid.card.voice == ()


def test_custom_fields_alone_identify_nobody() -> None:
    nobody = replace(WITHHELD, contact=ContactDetails(custom=(("Ward", "3"),)))
    assert claimed(nobody) is None


def test_a_template_that_stumbles_gives_plain_words_instead() -> None:
    rule = Rule(
        on=frozenset({ANSWERED.type}),
        do=frozenset({Action.CREATE_ERRAND}),
        body="{{ extra.x|dictsort if extra else '' }}",
    )
    guide = replace(GUIDE, rules=RuleBook((rule,)))
    assert "Caller: Ada" in created(replace(ANSWERED, extra={"x": "text"}), guide).body


def test_the_desk_of_the_creating_event_is_the_errands() -> None:
    errand = created(ANSWERED)
    assert errand.integration is not None
    assert errand.integration.agent == DESK


SAMPLE = json.loads(
    (Path(__file__).parents[1] / "data/samples/new_errand_request.json").read_text("utf-8")
)["data"]["attributes"]


def test_the_vendors_sample_is_reproduced_field_by_field() -> None:
    from bridge.cention.documents import new_errand  # noqa: PLC0415 - the far end of the same road
    from bridge.domain.admission import admit  # noqa: PLC0415 - its near end
    from bridge.domain.events import parse_event  # noqa: PLC0415 - as above

    call = SAMPLE["integrationData"]
    document = parse_event(
        {
            "eventId": "e1",
            "eventType": "call.answered",
            "occurredAt": "2020-06-25T09:30:00+08:00",
            "referenceId": call["referenceId"],
            "callerNumber": "+60123456789",
            "callerName": "David Liew",
            "cuid": SAMPLE["cuid"],
            **{
                key: call[key]
                for key in (
                    *("deviceId", "extensionId", "link", "destNumber", "pagingNumber"),
                    *("pagingName", "queueName", "queueNumber"),
                )
            },
            "extraData": {**call["extraData"], **SAMPLE["extradata"]},
            "attachments": SAMPLE["msg"]["attachments"],
        }
    )
    admitted = admit(
        document,
        source="aventa",
        routes=GUIDE.routes,
        now_us=document.occurred_at,
        age_days_max=30,
    ).event
    attributes = new_errand(created(admitted))["data"]["attributes"]
    for part in ("integrationData", "extradata", "cuid"):
        assert json.dumps(attributes[part], sort_keys=True) == json.dumps(
            SAMPLE[part], sort_keys=True
        )
    assert attributes["msg"]["attachments"] == SAMPLE["msg"]["attachments"]
