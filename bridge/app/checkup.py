"""All that `doctor` looks at: each check by itself and within a limit, whatever breaks."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.app import judging, judging_machine, measuring, probing, wiring
from bridge.app.doors import certificate_ends_s, guards, judge_certificate
from bridge.app.measured import AnswerFacts, Finding, Verdict
from bridge.domain.jwt import read_claims
from bridge.domain.routes import is_outlet
from bridge.settings import Settings
from bridge.storage.engine import path_of

# Longer than what has a limit of its own may take.
CHECK_S_MAX: Final = 20.0
# Each is a request beside the bridge's own pace, which leaves room for some fifty a minute.
ASKED_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at; `look` may take its time, and may fail."""

    name: str
    look: Callable[[], Sequence[Finding]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the settings came from."""

    config: Path | None
    secrets_dir: Path | None
    environ: Mapping[str, str]


def examine(settings: Settings, sources: Sources, limit_s: float = CHECK_S_MAX) -> list[Finding]:
    """Look at everything at once, and return what was found, in the order of the list."""
    return run_all(list(_checks(settings, sources)), limit_s)


def run_all(checks: Sequence[Check], limit_s: float) -> list[Finding]:
    """Run checks beside each other; one that breaks, or isn't done in time, says so itself."""
    found: list[list[Finding]] = [[] for _ in checks]

    def run(place: int, check: Check) -> None:
        try:
            found[place] = list(check.look())
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            # Its words may quote what it was about; the system's own don't.
            words = error.strerror if isinstance(error, OSError) else None
            reason = words or type(error).__name__
            found[place] = [judging.broke(check.name, reason, *_advice(error))]

    # Threads that end with the process: a disk or a name server may never answer.
    threads = [
        threading.Thread(target=run, args=(place, check), daemon=True)
        for place, check in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    end_s = time.monotonic() + limit_s
    for place, (check, thread) in enumerate(zip(checks, threads, strict=True)):
        thread.join(max(0.0, end_s - time.monotonic()))
        if thread.is_alive():
            found[place] = [judging.broke(check.name, f"not done within {limit_s:.0f} s")]
    return [one for findings in found for one in findings]


def _advice(error: Exception) -> tuple[str, ...]:
    is_denied = isinstance(error, PermissionError)
    return ("run this as root, or as the daemon's user",) if is_denied else ()


def _checks(settings: Settings, sources: Sources) -> Iterator[Check]:
    url = settings.store.url

    def secrets() -> list[Finding]:
        files = measuring.secret_files(
            settings, sources.config, sources.secrets_dir, sources.environ
        )
        return judging.judge_secrets(files)

    def last_event() -> list[Finding]:
        newest, has_store = measuring.newest_event(url), path_of(url).is_file()
        return [judging.judge_last_event(newest, time.time(), has_store=has_store)]

    def limits() -> list[Finding]:
        pid = measuring.daemon_pid(path_of(url).absolute())
        return judging_machine.judge_limits(measuring.limits(pid))

    yield Check("settings", lambda: judging.judge_notices(settings.notices()))
    yield Check("authentication", lambda: judging.judge_guards(guards(settings)))
    if (certificate := settings.http.tls_certificate) is not None:
        path = certificate
        yield Check("http.tls_certificate", lambda: [_own_certificate(path)])
    yield Check("delivery.in_doubt", lambda: [judging.judge_in_doubt(settings.in_doubt_policy)])
    yield Check("secrets", secrets)
    yield Check("store", lambda: judging.judge_store(measuring.store(url)))
    yield Check("last event", last_event)
    yield Check("limits", limits)
    yield Check("systemd unit", lambda: [judging_machine.judge_unit(measuring.unit())])
    yield from _network(settings)


def _network(settings: Settings) -> Iterator[Check]:
    def way(name: str, url: str) -> list[Finding]:
        return judging.judge_endpoint(name, probing.endpoint(url), time.time())

    base_url, forward_url = settings.cention.base_url, settings.callbacks.forward_url
    yield Check("Cention", lambda: way("Cention", base_url))
    yield Check("tokens", lambda: _tokens(settings))
    yield Check("Cention answers", lambda: _answers(settings))
    if forward_url:
        yield Check("callbacks.forward_url", lambda: way("callbacks.forward_url", forward_url))
    oneview_url = settings.oneview.base_url
    if oneview_url:
        yield Check("One View", lambda: way("One View", oneview_url))
        yield Check("One View's agents", lambda: _agents(settings))


def _agents(settings: Settings) -> list[Finding]:
    # Here, since few sites have a One View.
    from bridge.app.oneview_checkup import look_at_agents  # noqa: PLC0415 - see above

    return look_at_agents(settings)


def _own_certificate(path: str) -> Finding:
    return judge_certificate(certificate_ends_s(path), time.time(), judging.EXPIRES_SOON_S)


def _tokens(settings: Settings) -> list[Finding]:
    """Judge each token once, by all that it is used for."""
    names: dict[str, list[str]] = {}
    needed: dict[str, list[str]] = {}
    for route, token in settings.tokens().items():
        names.setdefault(token, []).append(route)
        # What sends messages alone makes no cards.
        wanted = [judging.CREATE_CLAIM, *([] if is_outlet(route) else [judging.CARD_CLAIM])]
        needed.setdefault(token, []).extend(wanted)
    if _needs_lists(settings):
        reading = dict.fromkeys(wiring.reading_options(settings).tokens.values())
        for token in filter(None, reading):
            names.setdefault(token, []).append("reports")
            needed.setdefault(token, []).append(judging.READ_CLAIM)
    now = time.time()
    return [
        judging.judge_token(
            sorted(given), read_claims(token), now, tuple(dict.fromkeys(needed[token]))
        )
        for token, given in names.items()
    ]


def _needs_lists(settings: Settings) -> bool:
    return settings.reports.enabled or settings.in_doubt_policy == "reconcile"


def _answers(settings: Settings) -> list[Finding]:
    """Ask each workspace once with each token that is used there."""
    reading = wiring.reading_options(settings).tokens
    needs_lists = _needs_lists(settings)
    tokens = settings.tokens()
    wanted: dict[tuple[str, str], str] = {}
    for route in settings.route_table().all():
        token = tokens.get(route.name, "")
        name = route.name if is_outlet(route.name) else f"route {route.name}"
        wanted.setdefault((route.scope, token), f"Cention, {name},")
    for scope, token in reading.items():
        wanted.setdefault((scope, token), "Cention, reports.token,")
    asked = list(wanted.items())[:ASKED_MAX]

    def ask(one: tuple[tuple[str, str], str]) -> AnswerFacts:
        (scope, token), name = one
        is_reader = needs_lists and reading.get(scope) == token
        return probing.ask(name, scope, token, needs_lists=is_reader)

    # Beside each other: one that doesn't answer is not to use up the time of all.
    with ThreadPoolExecutor(ASKED_MAX) as pool:
        facts = list(pool.map(ask, asked))
    return [judging.judge_clock(facts), *map(judging.judge_answer, facts), *_left_out(len(wanted))]


def _left_out(count: int) -> list[Finding]:
    if count <= ASKED_MAX:
        return []
    detail = f"{count - ASKED_MAX} further tokens were not tried, to stay within the pace"
    return [Finding("Cention answers", Verdict.NOTE, detail)]
