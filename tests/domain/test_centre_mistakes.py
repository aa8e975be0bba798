"""What is said of a file that is wrong, word for word."""

import tomllib

import pytest

from bridge.domain.centre import read_centre
from bridge.domain.centre_lines import find_lines
from bridge.domain.centre_values import LANGUAGES, TIME_ZONES

RIGHT = """\
[organization.clinic]
name = "Clinic"
[area.desk]
name = "Desk"
[tag.vip]
areas = ["desk"]
tag_name = "VIP"
"""


def said(text: str) -> list[str]:
    centre, mistakes = read_centre(tomllib.loads(text), find_lines(text))
    assert (centre is None) is bool(mistakes)
    return [f"{one.line}: {one.key}: {one.text}" for one in mistakes]


def test_nothing_is_said_of_what_is_right() -> None:
    assert said(RIGHT) == []


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            '[areas.x]\nname = "X"',
            "8: areas: is unknown; did you mean area?",
        ),
        (
            '[organization.b]\nname = "B"\ntime_zone = "Europe/Stokholm"',
            (
                '10: organization.b.time_zone: "Europe/Stokholm" is no time zone of Cention\'s;'
                " did you mean Europe/Stockholm?"
            ),
        ),
        (
            '[area.b]\nname = "B"\n\nworking_time_data.Monday = { start = "8:00" }',
            (
                '11: area.b.working_time_data.Monday.start: "8:00" is no time of day;'
                ' write HH:MM, as "08:30"'
            ),
        ),
        (
            '[area.b]\nname = "B"\nworking_time_data.Mondag = { working = true }',
            "10: area.b.working_time_data.Mondag: is no day; did you mean Monday?",
        ),
        (
            '[area.b]\nname = "B"\n[area.b.expire_time]\nhold_time = { hours = 24 }',
            "11: area.b.expire_time.hold_time.hours: 24 is out of range; write 0 to 23",
        ),
        (
            '[area.b]\nname = "B"\nserver_emails = [\n{ name = "b@x.nu" },\n{ order = 2 }]',
            '12: area.b.server_emails.1: has no name; write name = "…"',
        ),
        (
            '[area.b]\nname = "B"\nreply_to_email_address = "b at x"',
            (
                '10: area.b.reply_to_email_address: "b at x" is no e-mail address;'
                " write name@example.com"
            ),
        ),
        (
            (
                '[tag.b]\nareas = ["desk"]\ntag_name = "B / C"\n'
                '[tag.c]\nareas = ["desk"]\ntag_name = "C"\nparent_tag = "b"'
            ),
            '10: tag.b.tag_name: holds " / ", so what lies under it can\'t name it; write another',
        ),
        (
            '[area.b]\nname = "B"\norganization = 9223372036854775808',
            (
                "10: area.b.organization: names no organization; write the name that it has in"
                " this file"
            ),
        ),
        (
            '[area.b]\nname = "B"\norganization = "clinik"',
            (
                '10: area.b.organization: there is no [organization."clinik"] in this file;'
                " did you mean clinic?"
            ),
        ),
        (
            '[area.b]\nname = "B"\norganisation_id = 5',
            "10: area.b.organisation_id: is unknown; did you mean organization?",
        ),
        (
            '[area.b]\nname = "B"\nhas_voice = "yes"',
            "10: area.b.has_voice: is neither true nor false",
        ),
        (
            '[area.b]\nname = "B"\nbright_settings = { language_code = "EN" }',
            (
                '10: area.b.bright_settings.language_code: "EN" is no language of Cention\'s;'
                " there are Swedish, Norwegian, Danish, Finnish, SE, NO, DK, FI"
            ),
        ),
        (
            '[area.b]\nname = "B"\nanonymize_day = -1',
            "10: area.b.anonymize_day: -1 is out of range; write 0 to 2147483647",
        ),
        (
            '[area.b]\nname = "Desk"',
            "9: area.b.name: is that of area.desk too; give each its own",
        ),
        (
            '[area."Big Desk"]\nname = "B"',
            "8: area.Big Desk: is no name; use 1 to 32 of a-z, 0-9, underscore and hyphen",
        ),
        (
            "[area.b]\nactive = true",
            '8: area.b: has no name; write name = "…"',
        ),
        (
            '[keyword.k]\ncontent = "x"\ntype = "From"',
            '8: keyword.k: has no areas; write areas = ["NAME OF AREA"]',
        ),
        (
            '[keyword.k]\nareas = ["desk", "dusk"]\ncontent = "x"\ntype = "Text"',
            (
                '11: keyword.k.type: "Text" is no type of Cention\'s;'
                " there are From, To, Subject, Subject or text"
            ),
        ),
        (
            '[keyword.k]\nareas = [\n"desk",\n"dusk"]\ncontent = "x"\ntype = "To"',
            '11: keyword.k.areas.1: there is no [area."dusk"] in this file; did you mean desk?',
        ),
        (
            '[sip.s]\nareas = []\nroute_sip_id = "1"',
            '9: sip.s.areas: is no list of areas; write ["NAME"], one at least',
        ),
        (
            '[sip.s]\nareas = ["desk", "desk"]\nroute_sip_id = "1"',
            "9: sip.s.areas: names one area twice; name each once",
        ),
        (
            '[tag.a]\nareas = ["desk"]\ntag_name = "A"\nparent_tag = "a"',
            "11: tag.a.parent_tag: lies under itself; take one parent_tag out",
        ),
        (
            '[autotag.a]\nareas = ["desk"]\ncontent = "x"\ntype = "To"\ntag = 7',
            "12: autotag.a.tag: names no tag; write the name that it has in this file",
        ),
    ],
)
def test_a_mistake_has_its_line_and_what_would_be_right(more: str, line: str) -> None:
    found = said(RIGHT + more)
    assert line in found
    # A second one, where one line holds two.
    assert len(found) == 1 + ("dusk" in more and "Text" in more)


def test_every_mistake_is_said_at_once_by_line() -> None:
    assert [line.partition(":")[0] for line in said("[tag.a]\ntag_vip = 1\n[sip.b]\nx = 1\n")] == [
        *("1", "1", "2", "3", "3", "4"),
    ]


def test_all_of_the_pages_zones_and_languages_may_be_written_either_way() -> None:
    assert (len(TIME_ZONES), len(LANGUAGES)) == (27, 4)
    for zone, short in TIME_ZONES.items():
        for written in (zone, short):
            text = f'[area.a]\nname = "A"\ntime_zone = "{written}"\n'
            centre, _ = read_centre(tomllib.loads(text), find_lines(text))
            assert centre is not None
            assert centre.things[0].fields["time_zone"] == short
