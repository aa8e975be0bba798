"""What to think of what was measured for `doctor`. Pure: nothing is measured here.

Each judge takes facts and returns findings in words for whoever runs the machine. No finding holds
a secret, or anything that callers said.
"""

import math
from collections.abc import Sequence
from typing import Final

from bridge.app.doors import Guard
from bridge.app.measured import (
    AnswerFacts,
    EndpointFacts,
    Finding,
    SecretFile,
    StoreFacts,
    Verdict,
)
from bridge.domain.jwt import TokenClaims
from bridge.storage.schema import KNOWN_SCHEMAS

DAY_S: Final = 86_400.0
# As the alert on tokens has it: long enough to make another on a working day.
EXPIRES_SOON_S: Final = 14 * DAY_S
# A commit waits for one sync. At this many milliseconds events are late before anything left.
SYNC_MS_NOTE: Final = 20.0
SYNC_MS_WARN: Final = 100.0
FREE_SHARE_WARN: Final = 0.1
# As much as the write-ahead log may hold, twice.
FREE_BYTES_FAIL: Final = 128 * 2**20
# An end and its answer belong together within 60 seconds; half of that may be somebody else's.
CLOCK_S_WARN: Final = 5.0
CLOCK_S_FAIL: Final = 30.0
CREATE_CLAIM: Final = "Create Errand"
CARD_CLAIM: Final = "Access and create customer contacts"
READ_CLAIM: Final = "Access to errand data"
_GROUP: Final = 0o070
_WORLD: Final = 0o007
_WORLD_WRITES: Final = 0o002


def judge_notices(notices: Sequence[str]) -> list[Finding]:
    """Judge what is set and does nothing."""
    notes = [Finding("settings", Verdict.NOTE, one) for one in notices]
    return [Finding("settings", Verdict.OK, "read without a mistake"), *notes]


def judge_guards(guards: Sequence[Guard]) -> list[Finding]:
    """Judge who may post: that it is told is enough, since the settings refuse what is open."""
    return [
        Finding("authentication", Verdict.OK, f"{one.source} asks for {one.words}")
        for one in guards
    ]


def judge_in_doubt(policy: str) -> Finding:
    """Judge what becomes of an errand whose answer was lost."""
    if policy == "resend":
        return Finding(
            "delivery.in_doubt",
            Verdict.WARN,
            "resend: an errand whose answer was lost is sent again, and may double",
            "set reports.enabled = true (the token needs 'Access to errand data'), or"
            ' delivery.in_doubt = "hold"',
        )
    said = {"reconcile": "is looked up", "hold": "waits for a person"}.get(policy, policy)
    detail = f"{policy}: an errand whose answer was lost {said}"
    return Finding("delivery.in_doubt", Verdict.OK, detail)


def judge_secrets(files: Sequence[SecretFile]) -> list[Finding]:
    """Judge who may read secrets, and where they are kept."""
    found = [one for file in files for one in _judge_secret(file)]
    if not found:
        found = [Finding("secrets", Verdict.OK, "nobody else may read them")]
    return found


def _judge_secret(file: SecretFile) -> list[Finding]:
    found = []
    if file.stranger is not None:
        detail = f"{file.path}: belongs to user {file.stranger}, who may read and change it"
        found.append(Finding("secrets", Verdict.FAIL, detail, f"chown root {file.path}"))
    if file.is_config and not file.keys:
        if file.mode & _WORLD_WRITES:
            # Who says where requests go is given the token.
            detail = f"{file.path}: anybody on this machine may change it ({file.mode:04o})"
            found.append(Finding("secrets", Verdict.FAIL, detail, f"chmod o-w {file.path}"))
        return found
    # The group of a settings file is the daemon's: it is read again at a reload.
    if file.is_sheltered and file.mode & (_WORLD | _GROUP):
        detail = f"{file.path}: only its folder keeps others out ({file.mode:04o})"
        found.append(Finding("secrets", Verdict.WARN, detail, f"chmod go-rwx {file.path}"))
    elif file.mode & _WORLD:
        detail = f"{file.path}: is open to anybody on this machine ({file.mode:04o})"
        advice = f"chmod o-rwx {file.path}, and make new secrets if others have accounts here"
        found.append(Finding("secrets", Verdict.FAIL, detail, advice))
    elif file.mode & _GROUP and not file.is_config:
        detail = f"{file.path}: is open to its group ({file.mode:04o})"
        found.append(Finding("secrets", Verdict.WARN, detail, f"chmod go-rwx {file.path}"))
    if file.is_config:
        keys = ", ".join(file.keys)
        detail = f"{file.path}: holds {keys}"
        advice = "better in files of their own, named by their keys; see README.md"
        found.append(Finding("secrets", Verdict.NOTE, detail, advice))
    return found


def judge_store(facts: StoreFacts) -> list[Finding]:
    """Judge the store and the disk that it is on."""
    if not facts.exists:
        detail = f"{facts.path}: is not there yet; `run` makes it"
        there = Finding("store", Verdict.NOTE, detail)
        if facts.is_relative:
            # It may well be elsewhere, and all that is said of it here would be of another disk.
            detail = f"{facts.path}: is not there, and store.url is relative to where this is run"
            advice = (
                "name it with its whole path in the settings, or say where systemd keeps it:"
                " STATE_DIRECTORY=/var/lib/aventa-bridge aventa-bridge doctor …"
            )
            there = Finding("store", Verdict.WARN, detail, advice)
        return [there, *_judge_disk(facts)]
    return [_judge_owner(facts), *_judge_schema(facts), *_judge_disk(facts), _judge_daemon(facts)]


def _judge_owner(facts: StoreFacts) -> Finding:
    if facts.mode & (_WORLD | _GROUP):
        return Finding(
            "store",
            Verdict.FAIL if facts.mode & _WORLD else Verdict.WARN,
            f"{facts.path}: is open to others ({facts.mode:04o}); it holds what callers said",
            f"chmod 600 {facts.path}*",
        )
    if facts.owner != facts.folder_owner:
        return Finding(
            "store",
            Verdict.FAIL,
            f"{facts.path}: belongs to user {facts.owner}, its folder to {facts.folder_owner}",
            f"chown it to whom the daemon runs as (`ls -l {facts.path}*`)",
        )
    if facts.strangers:
        files = ", ".join(facts.strangers)
        return Finding(
            "store",
            Verdict.FAIL,
            f"{files}: belong to another user than {facts.path}, whom the daemon runs as",
            f"stop it, then chown --reference={facts.path} {facts.path}[-.]*",
        )
    if facts.user not in {0, facts.owner}:
        return Finding(
            "store",
            Verdict.WARN,
            f"{facts.path}: belongs to user {facts.owner}, this runs as {facts.user}",
            "run this as root, or as the daemon's user",
        )
    return Finding("store", Verdict.OK, f"{facts.path}: {mib(facts.size_bytes)}, its owner's own")


def _judge_schema(facts: StoreFacts) -> list[Finding]:
    newest = KNOWN_SCHEMAS[-1]
    if facts.schema_error:
        detail, advice = facts.schema_error, "see docs/upgrade.md on restoring a backup"
        return [Finding("store schema", Verdict.FAIL, detail, advice)]
    if facts.schema == newest:
        return [Finding("store schema", Verdict.OK, newest)]
    if facts.schema is None or facts.schema in KNOWN_SCHEMAS:
        detail = f"{facts.schema or 'none'}; the next start brings it to {newest}"
        advice = "make a backup before that; see docs/upgrade.md"
        return [Finding("store schema", Verdict.NOTE, detail, advice)]
    detail = f"{facts.schema}: is a newer release's; this one knows {newest}"
    return [
        Finding("store schema", Verdict.FAIL, detail, "install the release that made the store")
    ]


def _judge_disk(facts: StoreFacts) -> list[Finding]:
    if facts.sync_ms is None:
        advice = "without it no event is kept; look at the folder's owner, its mount and the disk"
        # A full disk is the likeliest reason.
        return [
            Finding("store disk", Verdict.FAIL, facts.write_error, advice),
            _judge_room(facts),
        ]
    found = []
    took = f"a commit waits {facts.sync_ms:.1f} ms for the disk"
    if facts.sync_ms >= SYNC_MS_NOTE:
        verdict = Verdict.WARN if facts.sync_ms >= SYNC_MS_WARN else Verdict.NOTE
        advice = "events are answered later by as much; use a faster or a less busy disk"
        found.append(Finding("store disk", verdict, took, advice))
    else:
        found.append(Finding("store disk", Verdict.OK, took))
    return [*found, _judge_room(facts)]


def _judge_room(facts: StoreFacts) -> Finding:
    share = facts.free_bytes / facts.size_total if facts.size_total else 1.0
    detail = f"{mib(facts.free_bytes)} free, {share:.0%} of the disk"
    advice = "make room: when nothing is left, events are refused with 503"
    if facts.free_bytes < FREE_BYTES_FAIL:
        return Finding("store room", Verdict.FAIL, detail, advice)
    if share < FREE_SHARE_WARN:
        return Finding("store room", Verdict.WARN, detail, advice)
    return Finding("store room", Verdict.OK, detail)


def _judge_daemon(facts: StoreFacts) -> Finding:
    if facts.daemon_pid is None:
        advice = "start it, unless it is stopped on purpose: systemctl start aventa-bridge"
        return Finding("daemon", Verdict.WARN, "none runs on this store", advice)
    if facts.daemon_pid == 0:
        return Finding("daemon", Verdict.NOTE, "skipped: this system doesn't show who holds locks")
    return Finding("daemon", Verdict.OK, f"runs as process {facts.daemon_pid}")


def judge_endpoint(name: str, facts: EndpointFacts, now: float) -> list[Finding]:
    """Judge the way to an upstream, by steps. `now` is in Unix seconds."""
    where = f"{facts.host}:{facts.port}"
    if facts.dns_error:
        advice = "look at the name in the settings and at /etc/resolv.conf"
        return [Finding(f"{name} DNS", Verdict.FAIL, f"{facts.host}: {facts.dns_error}", advice)]
    count = f"{facts.addresses} address{'' if facts.addresses == 1 else 'es'}"
    resolved = f"{facts.host}: {count} in {facts.dns_ms:.0f} ms"
    found = [Finding(f"{name} DNS", Verdict.OK, resolved)]
    if facts.connect_error:
        advice = "look for a firewall, a proxy or a wrong port in between"
        detail = f"{where}: {facts.connect_error}"
        return [*found, Finding(f"{name} TCP", Verdict.FAIL, detail, advice)]
    detail = f"{where}: connected in {facts.connect_ms:.0f} ms"
    found.append(Finding(f"{name} TCP", Verdict.OK, detail))
    return [*found, _judge_tls(f"{name} TLS", where, facts, now)]


def _judge_tls(check: str, where: str, facts: EndpointFacts, now: float) -> Finding:
    if not facts.is_tls:
        if facts.host in {"localhost", "::1"} or facts.host.startswith("127."):
            return Finding(check, Verdict.NOTE, f"{where}: none, on this machine")
        advice = "use https: what is sent holds a token and personal data"
        return Finding(check, Verdict.WARN, f"{where}: none; anybody in between can read", advice)
    if facts.tls_error:
        advice = (
            "nothing is sent until it is right; a firewall that opens TLS needs its own CA here"
        )
        return Finding(check, Verdict.FAIL, f"{where}: {facts.tls_error}", advice)
    if facts.expires_at is None:
        return Finding(check, Verdict.OK, f"{where}: the certificate is good")
    left_s = facts.expires_at - now
    detail = f"{where}: the certificate is good for {_days(left_s)}"
    if left_s < EXPIRES_SOON_S:
        return Finding(check, Verdict.WARN, detail, "tell whoever runs it to renew it")
    return Finding(check, Verdict.OK, detail)


def judge_clock(answers: Sequence[AnswerFacts]) -> Finding:
    """Judge this machine's clock by what upstreams say the time is."""
    offsets = [_offset_s(one.date, one.at, one.seconds) for one in answers if one.date is not None]
    if not offsets:
        return Finding("clock", Verdict.NOTE, "skipped: no upstream has said what the time is")
    off_s = min(offsets, key=abs)
    if abs(off_s) < CLOCK_S_WARN:
        return Finding("clock", Verdict.OK, "agrees with Cention's to within seconds")
    way = "behind" if off_s > 0 else "ahead of"
    detail = f"{abs(off_s):,.0f} s {way} Cention's"
    verdict = Verdict.FAIL if abs(off_s) >= CLOCK_S_FAIL else Verdict.WARN
    advice = "set it by NTP: timedatectl set-ntp true"
    return Finding("clock", verdict, detail, advice)


def _offset_s(date: float, at: float, seconds: float) -> float:
    """Return how far Cention's clock is ahead, beyond what can't be told.

    `Date` is cut to the second (RFC 9110 §6.6.1), and was written at some moment of the request.
    """
    low, high = at - seconds / 2, at + seconds / 2
    if date > high:
        return date - high
    return min(date + 1.0 - low, 0.0)


def judge_token(
    names: Sequence[str],
    claims: TokenClaims | None,
    now: float,
    needed: Sequence[str] = (CREATE_CLAIM, CARD_CLAIM),
) -> Finding:
    """Judge a token by what it says of itself. `now` is in Unix seconds."""
    check = f"token of {', '.join(names)}"
    if claims is None:
        detail = "is no JSON Web Token, so its claims and expiry can't be read"
        return Finding(check, Verdict.NOTE, detail)
    another = "make another in Cention (Administration → API → Access Tokens)"
    left_s = math.inf if claims.expires_at is None else claims.expires_at - now
    if left_s <= 0:
        return Finding(check, Verdict.FAIL, f"expired {_days(-left_s)} ago", another)
    missing = [one for one in needed if one not in claims.claims]
    if claims.claims and missing:
        detail = f"lacks the claim {' and '.join(map(repr, missing))}"
        return Finding(check, Verdict.WARN, detail, f"{another}, with its claims")
    lasts = "for ever" if math.isinf(left_s) else f"for {_days(left_s)}"
    if left_s < EXPIRES_SOON_S:
        return Finding(check, Verdict.WARN, f"is good {lasts}", another)
    return Finding(check, Verdict.OK, f"is good {lasts}")


def judge_answer(facts: AnswerFacts) -> Finding:
    """Judge what Cention answered."""
    check = f"{facts.upstream} answers"
    took = f"in {facts.seconds * 1000:.0f} ms"
    if not facts.status:
        advice = "errands are kept and tried again until it answers"
        return Finding(check, Verdict.FAIL, facts.error, advice)
    if 200 <= facts.status < 300 and facts.media_type and "json" not in facts.media_type:
        detail = f"{facts.status} {took}, with {facts.media_type}: that is not Cention's API"
        return Finding(check, Verdict.WARN, detail, "look at base_url, and for a proxy in between")
    if 200 <= facts.status < 300:
        return Finding(check, Verdict.OK, f"{facts.status} {took}")
    if facts.status == 403 and not facts.needs_lists:
        detail = f"403 {took}: the token may not read lists, which nothing here needs"
        return Finding(check, Verdict.OK, detail)
    advice = {
        401: "the token is not valid there: make another, and restart the daemon",
        403: f"reports and look-ups need the claim {READ_CLAIM!r}",
        404: "look at base_url and workspace: it knows no such workspace",
        429: "somebody else uses the limit on requests too",
    }.get(facts.status, "it is for them; errands are kept and tried again")
    verdict = Verdict.WARN if facts.status in {403, 429} else Verdict.FAIL
    return Finding(check, verdict, f"{facts.status} {took}", advice)


def judge_last_event(newest: float | None, now: float, *, has_store: bool) -> Finding:
    """Judge how long ago the phone system posted; both in Unix seconds."""
    if not has_store:
        return Finding("last event", Verdict.NOTE, "skipped: there is no store to look into")
    advice = "look at the address and token that the phone system posts with, and its log"
    if newest is None:
        return Finding("last event", Verdict.NOTE, "none has ever come", advice)
    age_s = now - newest
    detail = f"came {_days(age_s)} ago"
    if age_s > DAY_S:
        return Finding("last event", Verdict.NOTE, detail, advice)
    return Finding("last event", Verdict.OK, detail)


def broke(check: str, reason: str, advice: str = "look by hand") -> Finding:
    """Return what stands for a check that couldn't be made."""
    return Finding(check, Verdict.WARN, f"couldn't be looked at: {reason}", advice)


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the worst of all verdicts."""
    order = list(Verdict)
    return max((one.verdict for one in findings), key=order.index, default=Verdict.OK)


def mib(size: int) -> str:
    """Return a size as a person says it."""
    if size >= 10 * 2**30:
        return f"{size / 2**30:,.0f} GiB"
    return f"{size / 2**20:,.1f} MiB" if size < 100 * 2**20 else f"{size / 2**20:,.0f} MiB"


def _days(seconds: float) -> str:
    """Return a length of time as a person says it."""
    for unit, length_s in (("day", DAY_S), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:,.0f} {unit}s"
    return f"{max(seconds, 0):.0f} s"
