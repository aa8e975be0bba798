"""What is in doubt is looked up at a Cention that speaks its reports: the sandbox."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process_client import AGENT, Client, event, new_number, new_reference
from process_daemon import Daemon, minimal_settings, put_store
from process_upstream import eventually

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import CREATE_ERRAND, make_token

pytestmark = pytest.mark.process

SETTLE_S = 3
Open = Callable[..., "Centre"]


class Centre:
    """A daemon that looks up what is in doubt, and the sandbox that it talks to."""

    def __init__(self, daemon: Daemon, url: str) -> None:
        self.daemon = daemon
        self._sandbox = Client(url)

    def faults(self, *rules: dict[str, Any]) -> None:
        self._tell("faults", list(rules))

    def _tell(self, page: str, said: object) -> None:
        body = json.dumps(said).encode()
        reply = self._sandbox.request("POST", f"/_sandbox/{page}", body, {})
        assert reply.status < 300, reply

    def page(self, name: str) -> Any:
        return json.loads(self._sandbox.get(f"/_sandbox/{name}").body)

    def others(self) -> int:
        """Make an errand that came in by e-mail."""
        errand = {"from": "someone@example.org", "subject": "Hello", "body": "Where is it?"}
        self._tell("errands", errand)
        return int(self.page("errands")[-1]["id"])

    def whole_call(self) -> str:
        reference = new_reference()
        for kind in ("call.answered", "call.ended"):
            sent = event(kind, reference, callerNumber=new_number(), **AGENT)
            assert self.daemon.events.post(sent).status == 202
        return reference

    def steps(self, reference: str) -> list[str]:
        found: list[str] = self.page("summary")["references"].get(reference, [])
        return found


@contextmanager
def open_centre(folder: Path, **settings: str) -> Iterator[Centre]:
    put_store(folder)
    app = create_app(SandboxOptions(requests_per_minute=1_000_000))
    with BackgroundServer(app, listen(0)) as sandbox:
        given = minimal_settings(sandbox.url, folder)
        given |= {
            "BRIDGE_CENTION__TOKEN": make_token(b"sandbox"),
            "BRIDGE_CENTION__REQUESTS_PER_MINUTE": "1000000",
            "BRIDGE_DELIVERY__IN_DOUBT": "reconcile",
            "BRIDGE_DELIVERY__SETTLE_SECONDS": str(SETTLE_S),
            **{f"BRIDGE_{name}": value for name, value in settings.items()},
        }
        daemon = Daemon(given)
        try:
            yield Centre(daemon.start(), sandbox.url)
        finally:
            daemon.close()


def test_answers_dropped_after_the_errand_was_made_double_nothing(tmp_path: Path) -> None:
    with open_centre(tmp_path) as centre:
        others = {centre.others() for _ in range(3)}
        centre.faults({"kinds": ["c3_new_errands"], "drop_answer": True, "times": 3})
        calls = [centre.whole_call() for _ in range(6)]
        centre.daemon.drain()
        assert [centre.steps(one) for one in calls] == [["create", "end"]] * 6
        assert others <= set(centre.page("dirty")["demo"])
        assert centre.daemon.metric("bridge_lookups_total", outcome="found") == 3
        assert (
            centre.daemon.metric("bridge_deliveries_total", kind="new_errand", outcome="in_doubt")
            == 3
        )


def test_errands_that_appear_after_the_connection_was_lost_are_not_doubled(
    tmp_path: Path,
) -> None:
    with open_centre(tmp_path) as centre:
        others = {centre.others() for _ in range(3)}
        centre.faults({"kinds": ["c3_new_errands"], "late_effect_seconds": 1.5, "times": 2})
        calls = [centre.whole_call() for _ in range(4)]
        centre.daemon.drain()
        assert [centre.steps(one) for one in calls] == [["create", "end"]] * 4
        assert others <= set(centre.page("dirty")["demo"])


def test_an_errand_that_was_not_made_is_sent_again_after_two_looks(tmp_path: Path) -> None:
    with open_centre(tmp_path) as centre:
        centre.faults({"kinds": ["c3_new_errands"], "status": 500, "times": 1})
        reference = centre.whole_call()
        centre.daemon.drain()
        assert centre.steps(reference) == ["create", "end"]
        looks = [
            one
            for one in centre.page("requests")
            if (one["method"], one["path"].rsplit("/", 1)[1]) == ("GET", "c3_dirty_errand_list")
        ]
        assert len(looks) >= 2
        assert centre.daemon.metric("bridge_lookups_total", outcome="absent") == 1


def test_a_kill_while_an_errand_is_looked_up_neither_loses_nor_doubles_it(
    tmp_path: Path,
) -> None:
    with open_centre(tmp_path) as centre:
        others = {centre.others() for _ in range(30)}
        centre.faults(
            {"kinds": ["c3_new_errands"], "late_effect_seconds": 1.0, "times": 1},
            {"kinds": ["c3_errand_reports"], "delay_seconds": 0.2},
        )
        reference = centre.whole_call()
        eventually(
            lambda: any("c3_errand_reports" in one["path"] for one in centre.page("requests"))
        )
        centre.daemon.kill9()
        centre.faults()
        centre.daemon.start()
        centre.daemon.drain()
        assert centre.steps(reference) == ["create", "end"]
        eventually(lambda: others <= set(centre.page("dirty")["demo"]))


def test_without_the_right_to_read_it_is_held_and_said(tmp_path: Path) -> None:
    token = make_token(b"sandbox", claims=[CREATE_ERRAND])
    with open_centre(tmp_path, CENTION__TOKEN=token) as centre:
        centre.faults({"kinds": ["c3_new_errands"], "drop_answer": True, "times": 1})
        centre.whole_call()
        eventually(lambda: centre.daemon.figures().dead_letters == 1)
        assert centre.daemon.metric("bridge_lookups_total", outcome="held") == 1


def test_with_another_token_for_reports_it_is_found(tmp_path: Path) -> None:
    token = make_token(b"sandbox", claims=[CREATE_ERRAND])
    reading = make_token(b"sandbox")
    with open_centre(tmp_path, CENTION__TOKEN=token, REPORTS__TOKEN=reading) as centre:
        centre.faults({"kinds": ["c3_new_errands"], "drop_answer": True, "times": 1})
        reference = new_reference()
        assert (
            centre.daemon.events.post(
                event("call.answered", reference, callerNumber="anonymous", **AGENT)
            ).status
            == 202
        )
        centre.daemon.drain()
        assert centre.steps(reference) == ["create"]


def test_an_upstream_that_is_away_shows_on_readiness_and_metrics_and_comes_back(
    tmp_path: Path,
) -> None:
    with open_centre(tmp_path) as centre:
        centre.faults({"outage_seconds": 3600})
        calls = [centre.whole_call() for _ in range(12)]
        eventually(lambda: centre.daemon.metric("bridge_breaker_state", upstream="cention") > 0)
        cention = centre.daemon.readiness()["cention"]
        assert cention["status"] == "down"
        assert cention["breakers"]["cention"] != "closed"
        centre.faults()
        centre.daemon.drain()
        assert [centre.steps(one) for one in calls] == [["create", "end"]] * 12
        assert centre.daemon.readiness()["cention"]["breakers"] == {"cention": "closed"}
