"""The running daemon, driven by schemathesis from its own OpenAPI document.

Every answer must be one that the document describes: its status, media type, headers and body. None
may be 500, and what the schema refuses must not be accepted. Exit 1 if anything is amiss.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
import schemathesis
from contract_bodies import mended, posted
from contract_daemon import TOKEN, Addresses, running
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks

sys.path.insert(0, str(Path(__file__).parents[2]))

CHECKS: Final = (
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
SHARES: Final = {"/v1/events": 0.7, "/v1/cention/callbacks": 0.2, "/v1/hooks/{name}": 0.1}
# Hooks that are there without any setting.
HOOKS: Final = ("sipgate-io", "zammad-cti", "twilio-status", "telnyx-call-control", "aventa-flat")
SHOWN_MAX: Final = 20
JOBS: Final = 2


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(_context: Any, value: Any) -> bytes:
    """Send a text as it is."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""


@dataclass
class Found:
    """What came of it."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    cases: int = 0
    amiss: Counter[str] = field(default_factory=Counter)


def dressed(case: Any, chance: random.Random) -> Any:
    """Let most cases come with what they need to get further than the door."""
    if case.path.startswith("/v1/") and chance.random() < 0.9:
        case.headers["Authorization"] = f"Bearer {TOKEN}"
    if "name" in (case.path_parameters or {}) and chance.random() < 0.7:
        case.path_parameters["name"] = chance.choice(HOOKS)
    if chance.random() < 0.5:
        return case
    is_right = not _is_body_wrong(case)
    if case.path in {"/v1/events", "/v1/cention/callbacks"}:
        case.body = mended(case.path, case.body, is_right=is_right, chance=chance)
    elif "name" in (case.path_parameters or {}) and case.media_type == "application/json":
        case.path_parameters["name"], case.body = posted(chance)
    return case


def is_excused(case: Any, answer: Any) -> bool:
    """Say whether what was taken of a batch was only what was right of it.

    A batch is taken for its valid events; the others are named as rejected.
    """
    if not isinstance(case.body, list):
        return False
    results = answer.json().get("results", [])
    return any(one["status"] == "rejected" for one in results)


def judge(case: Any, answer: Any, found: Found) -> None:
    """Hold an answer against the document."""
    where = f"{case.method} {case.path}"
    found.cases += 1
    found.statuses[where, answer.status_code] += 1
    problems = [] if answer.status_code != 500 else ["500"]
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        problems += [f"{answer.status_code}: {one}"[:600] for one in group.exceptions]
    except (Failure, AssertionError) as failure:
        problems.append(f"{answer.status_code}: {failure}"[:600])
    is_taken = answer.status_code in {200, 202}
    if is_taken and _is_body_wrong(case) and not is_excused(case, answer):
        problems.append(f"accepted against the schema: {str(case.body)[:300]}")
    for problem in problems:
        found.amiss[f"{where}: {problem}"] += 1


def _is_body_wrong(case: Any) -> bool:
    """Say whether it is the body that was made wrong, and not a header or the path."""
    components = case.meta.components if case.meta is not None else {}
    return any(
        getattr(location, "value", location) == "body" and info.mode == GenerationMode.NEGATIVE
        for location, info in components.items()
    )


def drive(operation: Any, mode: Any, count: int, at: Addresses, found: Found) -> None:
    """Send so many cases to one address."""
    base = at.events if operation.path.startswith("/v1/") else at.admin
    strategy = operation.as_strategy(generation_mode=mode)
    session = requests.Session()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, seed=st.integers(0, 2**32))
    def one(case: Any, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret depends on it
        answer = dressed(case, chance).call(base_url=base, session=session)
        judge(case, answer, found)

    one()
    session.close()


def drive_all(at: Addresses, wanted: int) -> Found:
    """Send so many cases, spread over all addresses."""
    found = Found()
    # As a document: by its address, the address itself would not be driven.
    document = requests.get(f"{at.admin}/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        if operation.method == "get":
            drive(operation, GenerationMode.POSITIVE, 5, at, found)
            continue
        share = round(wanted * SHARES[operation.path] / 2)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            drive(operation, mode, share, at, found)
    return found


def share_of(at: Addresses, wanted: int) -> Found:
    """Have a process of its own send so many cases, and return what came of it."""
    done = subprocess.run(  # noqa: S603 - this program
        [sys.executable, __file__, "--cases", str(wanted), "--at", at.events, at.admin],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return Found(amiss=Counter([done.stderr[-2000:]]))
    told = json.loads(done.stdout.splitlines()[-1])
    statuses = Counter({(where, status): count for where, status, count in told["statuses"]})
    return Found(statuses, told["cases"], Counter(told["amiss"]))


def main() -> int:
    """Drive the daemon, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--at", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.at:
        found = drive_all(Addresses(asked.at[0], asked.at[1], []), asked.cases)
        statuses = [(*key, count) for key, count in found.statuses.items()]
        told = {"statuses": statuses, "cases": found.cases, "amiss": found.amiss}
        say(json.dumps(told))
        return 0
    found, begun_s = Found(), time.monotonic()
    with running() as at, ThreadPoolExecutor(JOBS) as pool:
        # One more than asked for, since shares are rounded.
        part = -(-asked.cases // JOBS) + JOBS
        for one in pool.map(lambda _: share_of(at, part), range(JOBS)):
            found.cases += one.cases
            found.statuses += one.statuses
            found.amiss += one.amiss
        log = list(at.log)
    show(found, time.monotonic() - begun_s, log)
    is_short = found.cases < asked.cases
    if is_short:
        say("fewer cases than were asked for")
    return int(bool(found.amiss or log or is_short))


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def show(found: Found, took_s: float, log: list[dict[str, Any]]) -> None:
    """Print the figures, and what is amiss."""
    say(f"{found.cases:,} cases in {took_s:.0f} s; {sum(found.amiss.values())} violations")
    for (where, status), count in sorted(found.statuses.items()):
        say(f"  {where:32} {status} {count:7,}")
    for problem, count in found.amiss.most_common(SHOWN_MAX):
        say(f"{count} x {problem}")
    for line in log[:SHOWN_MAX]:
        say(f"the log says: {line}")


if __name__ == "__main__":
    sys.exit(main())
