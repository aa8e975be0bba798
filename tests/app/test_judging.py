import pytest
from msgspec.structs import replace

from bridge.app import judging, judging_machine
from bridge.app.measured import (
    AnswerFacts,
    EndpointFacts,
    Finding,
    LimitFacts,
    SecretFile,
    StoreFacts,
    UnitFacts,
    Verdict,
)
from bridge.domain.jwt import TokenClaims

NOW = 1_700_000_000.0
DAY = 86_400
ALL = ("Create Errand", "Access and create customer contacts")


def verdicts(findings: list[Finding]) -> list[str]:
    return [one.verdict.value for one in findings]


STORE = StoreFacts(
    path="/s/bridge.db",
    exists=True,
    owner=7,
    folder_owner=7,
    user=7,
    sync_ms=1.0,
    free_bytes=2**40,
    size_total=2**41,
    size_bytes=5 * 2**20,
    schema="0007",
    daemon_pid=12,
)


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        ({}, "store", "ok"),
        ({"mode": 0o644}, "store", "fail"),
        ({"mode": 0o640}, "store", "warn"),
        ({"owner": 0}, "store", "fail"),
        ({"user": 0}, "store", "ok"),
        ({"user": 8}, "store", "warn"),
        ({"sync_ms": None, "write_error": "/s: can't be written"}, "store disk", "fail"),
        ({"sync_ms": 20.0}, "store disk", "note"),
        ({"sync_ms": 100.0}, "store disk", "warn"),
        ({"free_bytes": 2**30}, "store room", "warn"),
        ({"free_bytes": 2**20}, "store room", "fail"),
        ({"size_total": 0}, "store room", "ok"),
        ({"schema": "0001"}, "store schema", "note"),
        ({"schema": None}, "store schema", "note"),
        ({"schema": "9999"}, "store schema", "fail"),
        ({"schema_error": "damaged"}, "store schema", "fail"),
        ({"strangers": ("bridge.db-wal",)}, "store", "fail"),
        ({"daemon_pid": None}, "daemon", "warn"),
        ({"daemon_pid": 0}, "daemon", "note"),
    ],
)
def test_of_the_store_one_thing_at_a_time_is_the_matter(
    change: dict[str, object], check: str, verdict: str
) -> None:
    findings = judging.judge_store(replace(STORE, **change))
    [found] = [one for one in findings if one.check == check]
    assert found.verdict == verdict
    others = [one for one in findings if one is not found]
    assert {one.verdict for one in others} == {"ok"}
    assert found.advice or verdict in {"ok", "note"}


def test_a_full_disk_is_told_as_such_and_not_only_as_one_that_can_not_be_written() -> None:
    full = replace(STORE, sync_ms=None, write_error="/s: can't be written", free_bytes=0)
    found = {one.check: one for one in judging.judge_store(full)}
    assert (found["store room"].verdict, found["store room"].detail[:8]) == ("fail", "0.0 MiB ")


def test_a_store_that_is_looked_for_in_the_folder_of_the_command_is_warned_of() -> None:
    [found, *_] = judging.judge_store(replace(STORE, exists=False, is_relative=True))
    assert found.verdict is Verdict.WARN
    assert "store.url is relative" in found.detail
    assert "STATE_DIRECTORY=" in found.advice


def test_a_store_that_is_not_there_yet_is_no_failure() -> None:
    findings = judging.judge_store(replace(STORE, exists=False))
    assert verdicts(findings) == ["note", "ok", "ok"]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (SecretFile("/s/t", 0o600), ["ok"]),
        (SecretFile("/s/t", 0o640), ["warn"]),
        (SecretFile("/s/t", 0o604), ["fail"]),
        (SecretFile("/s/t", 0o644, is_sheltered=True), ["warn"]),
        (SecretFile("/s/t", 0o600, stranger=1000), ["fail"]),
        (SecretFile("/b.toml", 0o644, is_config=True), ["ok"]),
        (SecretFile("/b.toml", 0o646, is_config=True), ["fail"]),
        (SecretFile("/b.toml", 0o640, is_config=True, stranger=1000), ["fail"]),
        (SecretFile("/b.toml", 0o640, is_config=True, keys=("cention.token",)), ["note"]),
        (SecretFile("/b.toml", 0o644, is_config=True, keys=("cention.token",)), ["fail", "note"]),
    ],
)
def test_a_secret_is_its_owners_alone(file: SecretFile, expected: list[str]) -> None:
    assert verdicts(judging.judge_secrets([file])) == expected


def test_resending_what_is_in_doubt_is_said_to_double() -> None:
    found = judging.judge_in_doubt("resend")
    assert (found.verdict, "may double" in found.detail) == (Verdict.WARN, True)
    assert judging.judge_in_doubt("reconcile").verdict is Verdict.OK
    assert judging.judge_in_doubt("hold").verdict is Verdict.OK


def test_what_is_set_in_vain_is_a_note() -> None:
    assert verdicts(judging.judge_notices(["agents: set"])) == ["ok", "note"]


WAY = EndpointFacts(host="c.example", port=443, is_tls=True, addresses=2, expires_at=NOW + 90 * DAY)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ["ok", "ok", "ok"]),
        ({"dns_error": "unknown name"}, ["fail"]),
        ({"connect_error": "Connection refused"}, ["ok", "fail"]),
        ({"tls_error": "self-signed certificate"}, ["ok", "ok", "fail"]),
        ({"expires_at": NOW + 3 * DAY}, ["ok", "ok", "warn"]),
        ({"expires_at": None}, ["ok", "ok", "ok"]),
        ({"is_tls": False}, ["ok", "ok", "warn"]),
        ({"is_tls": False, "host": "127.0.0.1"}, ["ok", "ok", "note"]),
    ],
)
def test_a_way_is_judged_as_far_as_it_goes(change: dict[str, object], expected: list[str]) -> None:
    assert verdicts(judging.judge_endpoint("Cention", replace(WAY, **change), NOW)) == expected


ANSWER = AnswerFacts(upstream="Cention", status=200, seconds=0.2, date=NOW, at=NOW)


@pytest.mark.parametrize(
    ("date", "seconds", "verdict", "words"),
    [
        (NOW, 0.2, "ok", "agrees"),
        # A request that took ten seconds tells no more than that.
        (NOW + 9, 10.0, "ok", "agrees"),
        (NOW - 5, 0.2, "ok", "agrees"),
        (NOW + 8, 0.2, "warn", "8 s behind Cention's"),
        (NOW - 9, 0.2, "warn", "8 s ahead of Cention's"),
        (NOW + 120, 0.2, "fail", "120 s behind Cention's"),
        (NOW - DAY, 0.2, "fail", "86,399 s ahead of Cention's"),
        (None, 0.2, "note", "skipped"),
    ],
)
def test_the_clock_is_judged_by_what_cention_says(
    date: float | None, seconds: float, verdict: str, words: str
) -> None:
    found = judging.judge_clock([replace(ANSWER, date=date, seconds=seconds)])
    assert (found.verdict, words in found.detail) == (verdict, True), found


@pytest.mark.parametrize(
    ("claims", "verdict", "words"),
    [
        (None, "note", "no JSON Web Token"),
        (TokenClaims(ALL, None), "ok", "for ever"),
        (TokenClaims(ALL, int(NOW) + 90 * DAY), "ok", "for 90 days"),
        (TokenClaims(ALL, int(NOW) + 5 * DAY), "warn", "for 5 days"),
        (TokenClaims(ALL, int(NOW) - 7200), "fail", "expired 2 hours ago"),
        (TokenClaims(ALL[:1], None), "warn", "lacks the claim"),
        # Where it doesn't say what it is good for, that is no reason to doubt it.
        (TokenClaims((), None), "ok", "for ever"),
    ],
)
def test_a_token_is_judged_by_what_it_says(
    claims: TokenClaims | None, verdict: str, words: str
) -> None:
    found = judging.judge_token(["default", "sales"], claims, NOW)
    assert (found.verdict, words in found.detail) == (verdict, True), found
    assert found.check == "token of default, sales"


@pytest.mark.parametrize(
    ("status", "needs_lists", "verdict"),
    [
        (200, False, "ok"),
        (403, False, "ok"),
        (403, True, "warn"),
        (401, False, "fail"),
        (404, False, "fail"),
        (429, False, "warn"),
        (503, False, "fail"),
        (0, False, "fail"),
    ],
)
def test_an_answer_is_judged_by_what_is_needed(
    status: int,
    needs_lists: bool,  # noqa: FBT001 - a parameter of the test
    verdict: str,
) -> None:
    facts = replace(ANSWER, status=status, needs_lists=needs_lists, error="Connection refused")
    assert judging.judge_answer(facts).verdict == verdict


@pytest.mark.parametrize(
    ("newest", "verdict", "words"),
    [
        (None, "note", "none has ever come"),
        (NOW - 90, "ok", "90 s ago"),
        (NOW - 3 * DAY, "note", "3 days ago"),
        (NOW + 5, "ok", "0 s ago"),
    ],
)
def test_the_last_events_age_is_told(newest: float | None, verdict: str, words: str) -> None:
    found = judging.judge_last_event(newest, NOW, has_store=True)
    assert (found.verdict, words in found.detail) == (verdict, True), found


def test_of_events_in_a_store_that_is_not_there_nothing_is_said() -> None:
    found = judging.judge_last_event(None, NOW, has_store=False)
    assert (found.verdict, found.detail) == ("note", "skipped: there is no store to look into")


@pytest.mark.parametrize(
    ("media_type", "verdict"),
    [("application/vnd.api+json", "ok"), ("", "ok"), ("text/html", "warn")],
)
def test_something_else_that_answers_in_centions_place_is_warned_of(
    media_type: str, verdict: str
) -> None:
    assert judging.judge_answer(replace(ANSWER, media_type=media_type)).verdict == verdict


def test_a_token_for_reports_lacks_the_claim_for_them() -> None:
    needed = (*ALL, judging.READ_CLAIM)
    found = judging.judge_token(["reports"], TokenClaims(claims=ALL), NOW, needed)
    assert (found.verdict, judging.READ_CLAIM in found.detail) == (Verdict.WARN, True)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (LimitFacts(is_daemon=True, open_files=65536, memory_bytes=None), ["ok", "ok"]),
        (
            LimitFacts(is_daemon=True, open_files=None, memory_bytes=2**30, memory_used_bytes=9),
            ["ok", "ok"],
        ),
        (LimitFacts(is_daemon=True, open_files=1024, memory_bytes=2**27), ["warn", "warn"]),
        (LimitFacts(is_daemon=False, open_files=1024, memory_bytes=2**27), ["note", "note"]),
    ],
)
def test_tight_limits_are_warned_of(facts: LimitFacts, expected: list[str]) -> None:
    assert verdicts(judging_machine.judge_limits(facts)) == expected


UNIT = {
    "ActiveState": "active",
    "SubState": "running",
    "User": "aventa-bridge",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateDevices": "yes",
    "LimitCORE": "0",
}


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (UnitFacts(UNIT), "ok", "active (running), in its sandbox"),
        (UnitFacts({**UNIT, "User": ""}), "warn", "User=root"),
        (UnitFacts({**UNIT, "ProtectSystem": "no"}), "warn", "ProtectSystem=no"),
        (UnitFacts({**UNIT, "ActiveState": "failed"}), "fail", "failed"),
        (
            UnitFacts({**UNIT, "ActiveState": "activating", "SubState": "auto-restart"}),
            "fail",
            "auto-restart",
        ),
        (UnitFacts({**UNIT, "NeedDaemonReload": "yes"}), "warn", "has changed since"),
        (UnitFacts(skipped="there is no systemd here"), "note", "skipped: there is no systemd"),
    ],
)
def test_a_unit_is_compared_with_the_one_that_comes_with_the_bridge(
    facts: UnitFacts, verdict: str, words: str
) -> None:
    found = judging_machine.judge_unit(facts)
    assert (found.verdict, words in found.detail) == (verdict, True), found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], Verdict.OK),
        ([Verdict.NOTE, Verdict.OK], Verdict.NOTE),
        ([Verdict.WARN, Verdict.FAIL, Verdict.OK], Verdict.FAIL),
    ],
)
def test_the_worst_verdict_counts(found: list[Verdict], expected: Verdict) -> None:
    assert judging.worst([Finding("x", one, "") for one in found]) is expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1536 * 1024, "1.5 MiB"), (2**30, "1,024 MiB"), (2**40, "1,024 GiB")],
)
def test_sizes_are_said_as_a_person_says_them(size: int, expected: str) -> None:
    assert judging.mib(size) == expected
