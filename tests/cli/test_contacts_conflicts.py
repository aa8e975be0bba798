import json
from pathlib import Path
from typing import Any

import pytest
from cli_site import CUID, DELIVERED, NUMBER, TOML, Site, event, prepared
from contacts_site import forget

from bridge.domain.deliveries import Kind


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def quarrel(site: Site, *, times: int = 1) -> None:
    """Have somebody call who is known, and then somebody else by the same number."""
    site.take(event("call.queued", cuid=CUID))
    site.send(Kind.CONTACT_CARD, DELIVERED)
    for number in range(times):
        site.take(
            event("call.queued", eventId=f"x{number}", referenceId=f"x{number}", cuid="other")
        )


def shown(site: Site, text: str) -> list[dict[str, Any]]:
    result = site.run("contacts", "show", text, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_conflict_is_shown_with_both_people(site: Site) -> None:
    quarrel(site, times=3)
    for text in (CUID, "other"):
        (person,) = shown(site, text)
        (conflict,) = person["conflicts"]
        assert (conflict["kind"], conflict["value"]) == ("voice", NUMBER)
        assert (conflict["times"], conflict["decided"]) == (3, "prefer_cuid")
        assert (conflict["owner_card"], conflict["claimant_card"]) == ("77", None)
        assert conflict["last_at"].endswith("Z")


def test_a_person_reads_whose_it_is_and_of_whom_it_was_said(site: Site) -> None:
    quarrel(site)
    result = site.run("contacts", "show", "other")
    (line,) = [line for line in result.stdout.splitlines() if NUMBER in line]
    assert "card 77" in line
    assert "somebody without a card (this one)" in line
    (line,) = [
        line
        for line in site.run("contacts", "show", CUID).stdout.splitlines()
        if "prefer_cuid" in line
    ]
    assert "card 77 (this one)" in line


def test_who_is_in_no_conflict_has_none(site: Site) -> None:
    site.take(event("call.queued", cuid=CUID))
    assert shown(site, CUID)[0]["conflicts"] == []
    assert "conflict" not in site.run("contacts", "show", CUID).stdout


def test_what_is_held_is_found_by_the_cuid_that_is_nobodys_yet(site: Site) -> None:
    site.write(TOML + '[contacts]\nconflict = "hold"\n')
    quarrel(site)
    (nobody,) = shown(site, "other")
    assert nobody["id"] is None
    assert [(one["kind"], one["owner"]) for one in nobody["conflicts"]] == [("cuid", "")]
    assert "nobody yet" in site.run("contacts", "show", "other").stdout
    (known,) = shown(site, NUMBER)
    assert {one["kind"] for one in known["conflicts"]} == {"cuid", "voice"}


def test_whoever_is_forgotten_is_in_no_conflict_any_more(site: Site) -> None:
    quarrel(site)
    forget(site, "other")
    assert shown(site, CUID)[0]["conflicts"] == []


def test_what_is_left_of_a_conflict_alone_is_forgotten_too(site: Site) -> None:
    quarrel(site)

    def leave_it_alone(connection: Any) -> None:
        for table in ("calls", "events", "people", "person_keys", "outbox"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - the bridge's own names

    site.do(leave_it_alone)
    assert shown(site, NUMBER)[0]["conflicts"]
    forget(site, NUMBER)
    assert site.run("contacts", "show", NUMBER).exit_code == 1
