import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web
from typer.testing import CliRunner, Result

from bridge.cli.demo import demo
from bridge.cli.sandbox import sandbox
from bridge.cli.simulate import simulate
from bridge.sandbox.daemon import DaemonError
from bridge.sandbox.demo import DemoOptions, DemoResult, Faults, View
from bridge.sandbox.figures import Latency, Snapshot
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import read_token
from bridge.sandbox.verdict import Verdict

SANDBOX = "import typer; from bridge.cli.sandbox import sandbox; typer.run(sandbox)"


def invoke(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", [demo, sandbox, simulate])
def test_help_has_an_example(command: Any) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"Example: aventa-bridge {command.__name__} --" in result.stdout


class TestSandbox:
    def test_it_tells_in_json_how_to_reach_it_and_stops_when_asked(self) -> None:
        arguments = [sys.executable, "-c", SANDBOX, "--port", "0", "--workspace", "x", "--json"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
            assert process.stdout is not None
            started = json.loads(process.stdout.readline())
            assert set(started) == {"base_url", "workspace", "token"}
            assert (started["workspace"], read_token(b"sandbox", started["token"]).area) == (
                "x",
                "x",
            )
            with urllib.request.urlopen(f"{started['base_url']}/_sandbox/errands") as response:  # noqa: S310 - loopback
                assert json.load(response) == []
            process.send_signal(signal.SIGTERM)
        assert process.returncode == 0

    def test_it_prints_what_the_bridges_environment_needs(self) -> None:
        arguments = [sys.executable, "-c", SANDBOX, "--port", "0"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("BRIDGE_"))
            names = [item.partition("=")[0] for item in line.split()]
            assert names == [
                "BRIDGE_CENTION__BASE_URL",
                "BRIDGE_CENTION__WORKSPACE",
                "BRIDGE_CENTION__TOKEN",
            ]
            assert "BRIDGE_CENTION__WORKSPACE=demo" in line
            process.send_signal(signal.SIGINT)
        assert process.returncode == 0

    @pytest.mark.parametrize("sla_delay", ["--sla-delay", "--sla-delay-seconds"])
    def test_what_its_options_ask_for_it_does(self, sla_delay: str) -> None:
        options = ["--port", "0", "--json", "--seed", "7", sla_delay, "0"]
        with subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", SANDBOX, *options], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            started = json.loads(process.stdout.readline())
            pages = f"{started['base_url']}/_sandbox"
            with urllib.request.urlopen(f"{pages}/errands", data=b"{}") as response:  # noqa: S310 - loopback
                errand = json.load(response)["id"]
            report = urllib.request.Request(  # noqa: S310 - loopback
                f"{started['base_url']}/s/demo/capi/json/c3_errand_reports/{errand}",
                headers={"Authorization": f"Bearer {started['token']}"},
            )
            with urllib.request.urlopen(report) as response:  # noqa: S310 - loopback
                assert json.load(response)["data"]["attributes"]["sla"]["within_sla"] is True
            process.send_signal(signal.SIGTERM)
        assert process.returncode == 0

    def test_it_calls_back_with_the_secret_that_it_was_given(
        self, bridge_url: str, events: list[dict[str, Any]]
    ) -> None:
        options = ["--port", "0", "--json", "--callback-url", bridge_url]
        with subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", SANDBOX, *options, "--callback-secret", "123456"],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            pages = f"{json.loads(process.stdout.readline())['base_url']}/_sandbox/errands"
            with urllib.request.urlopen(pages, data=b"{}") as response:  # noqa: S310 - loopback
                errand = json.load(response)["id"]
            with urllib.request.urlopen(f"{pages}/{errand}/answer", data=b"") as response:  # noqa: S310 - loopback
                assert json.load(response)["status"] == 202
            process.send_signal(signal.SIGTERM)
        assert process.returncode == 0
        [callback] = events
        assert callback["data"]["type"] == "c3_callback_answer_errands"
        assert callback["meta"] == {"api_secret": "123456"}

    def test_a_wrong_callback_address_is_wrong_usage(self) -> None:
        result = invoke(sandbox, "--callback-url", "localhost:8080")
        assert result.exit_code == 2
        assert "must be an http or https URL" in result.stderr

    def test_a_taken_port_is_told(self) -> None:
        with listen(0) as taken:
            result = invoke(sandbox, "--port", str(taken.getsockname()[1]))
        assert result.exit_code == 1
        assert "Can't listen on 127.0.0.1 port" in result.stderr


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def bridge_url(events: list[dict[str, Any]]) -> Iterator[str]:
    async def take(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") == "Bearer wrong":
            return web.Response(status=401, text="wrong token")
        events.append(await request.json())
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/v1/events", take)
    with BackgroundServer(app, listen(0)) as server:
        yield f"{server.url}/v1/events"


class TestSimulate:
    def test_it_posts_whole_calls_and_prints_a_summary(
        self, bridge_url: str, events: list[dict[str, Any]]
    ) -> None:
        result = invoke(
            simulate, "--url", bridge_url, "--calls", "5", "--rate", "1000", "--answered-only"
        )
        assert result.exit_code == 0, result.output
        assert len(events) == 15
        assert ["calls", "posted", "5"] in [line.split() for line in result.stdout.splitlines()]

    def test_it_exits_with_1_where_something_could_not_be_posted(self, bridge_url: str) -> None:
        result = invoke(
            simulate,
            *("--url", bridge_url, "--calls", "2", "--rate", "1000", "--seed", "7"),
            *("--token", "wrong", "--json"),
        )
        assert result.exit_code == 1
        summary = json.loads(result.stdout)
        assert (summary["calls_posted"], summary["calls_failed"], summary["seed"]) == (0, 2, 7)
        assert all("HTTP 401: wrong token" in failure for failure in summary["failures"])
        assert "HTTP 401: wrong token" in result.stderr

    def test_a_wrong_url_is_wrong_usage(self) -> None:
        assert invoke(simulate, "--url", "localhost:8080").exit_code == 2


class TestDemo:
    def invoke(
        self,
        monkeypatch: pytest.MonkeyPatch,
        outcome: DemoResult | DaemonError,
        *arguments: str,
        **expected: Any,
    ) -> Result:
        async def run_demo(options: DemoOptions, view: View, _stop: object) -> DemoResult:
            assert options == DemoOptions(**{"calls": 2, "rate": 5.0, "seed": 7, **expected})
            view.open({"events": "http://127.0.0.1:8080/v1/events"})
            view.update(Snapshot(calls_posted=1))
            if isinstance(outcome, DaemonError):
                raise outcome
            return outcome

        monkeypatch.setattr("bridge.sandbox.demo.run_demo", run_demo)
        return invoke(demo, "--calls", "2", "--rate", "5", "--seed", "7", *arguments)

    def test_it_exits_with_0_where_each_call_arrived(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = DemoResult(snapshot=Snapshot(), verdict=Verdict(calls=2), problems=())
        result = self.invoke(monkeypatch, outcome)
        assert result.exit_code == 0
        assert "Each of 2 calls arrived exactly once." in result.stdout
        assert "events: http://127.0.0.1:8080/v1/events" in result.stderr
        assert "calls 1" in result.stderr

    def test_it_exits_with_1_and_says_what_went_wrong(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verdict = Verdict(calls=2, missing=("a",))
        outcome = DemoResult(snapshot=Snapshot(), verdict=verdict, problems=("missing: a",))
        result = self.invoke(monkeypatch, outcome)
        assert result.exit_code == 1
        assert "missing: a" in result.stderr
        assert "exactly once" not in result.stdout

    def test_its_summary_can_be_read_by_a_script(self, monkeypatch: pytest.MonkeyPatch) -> None:
        snapshot = Snapshot(calls_posted=2, answer=Latency(0.1, 0.2))
        outcome = DemoResult(snapshot=snapshot, verdict=Verdict(calls=2), problems=())
        summary = json.loads(self.invoke(monkeypatch, outcome, "--json").stdout)
        assert summary["ok"] is True
        assert summary["snapshot"]["answer"] == {"p50": 0.1, "p99": 0.2}
        assert summary["verdict"]["missing"] == []

    def test_faults_are_asked_for_and_summed_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = DemoResult(
            snapshot=Snapshot(faults={"503": 4}), verdict=Verdict(calls=2), problems=()
        )
        result = self.invoke(monkeypatch, outcome, "--faults", faults=Faults())
        assert result.exit_code == 0
        assert "4: 4 x 503" in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--fault-rate", "0.5"], {"faults": Faults(rate=0.5)}),
            (["--faults-preset", "no_doubt"], {"faults": Faults(preset="no_doubt")}),
            (
                ["--fault-kind", "c3_new_errands", "--fault-kind", "c3_end_errands"],
                {"faults": Faults(kinds=("c3_new_errands", "c3_end_errands"))},
            ),
            (["--kills", "3"], {"kills": 3}),
            (["--requests-per-minute", "60000"], {"requests_per_minute": 60_000}),
            (["--in-flight", "256"], {"in_flight_max": 256}),
            (["--settle-seconds", "1.5"], {"settle_seconds": 1.5}),
        ],
    )
    def test_what_its_options_ask_for_is_run(
        self, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: dict[str, Any]
    ) -> None:
        outcome = DemoResult(snapshot=Snapshot(), verdict=Verdict(calls=2), problems=())
        assert self.invoke(monkeypatch, outcome, *arguments, **expected).exit_code == 0

    def test_store_and_log_are_kept_in_a_folder_that_has_no_store_yet(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        outcome = DemoResult(snapshot=Snapshot(), verdict=Verdict(calls=2), problems=())
        arguments = ("--folder", str(tmp_path))
        assert self.invoke(monkeypatch, outcome, *arguments, folder=tmp_path).exit_code == 0
        (tmp_path / "bridge.db").touch()
        assert self.invoke(monkeypatch, outcome, *arguments, folder=tmp_path).exit_code == 2

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--kills", "1"], "needs --calls"),
            (["--faults-preset", "none"], "must be mixed or no_doubt"),
            (["--fault-kind", "none"], "must be one of c3_new_errands"),
            (["--faults", "--settle-seconds", "2"], "must be more than 2"),
            (["--calls", "100001"], "less than or equal to 100000"),
        ],
    )
    def test_what_could_not_end_well_is_wrong_usage(self, arguments: list[str], said: str) -> None:
        result = invoke(demo, *arguments)
        assert result.exit_code == 2
        assert said in result.stderr

    def test_a_daemon_that_does_not_start_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = self.invoke(monkeypatch, DaemonError("The daemon ended", ["last line"]))
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-2:] == ["The daemon ended", "  last line"]
