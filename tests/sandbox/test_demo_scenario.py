from bridge.sandbox.presets import NO_DOUBT
from bridge.sandbox.scenario import DemoOptions, Faults


def options(*, kills: int = 0, faults: Faults | None = None) -> DemoOptions:
    return DemoOptions(calls=10, rate=1.0, seed=1, kills=kills, faults=faults)


def test_without_faults_the_daemon_decides_about_doubt_as_ever() -> None:
    plain = options()
    assert not plain.is_hard
    assert plain.daemon_settings() == {
        "CENTION__REQUESTS_PER_MINUTE": "950",
        "DELIVERY__IN_FLIGHT_MAX": "32",
    }


def test_where_an_answer_may_be_lost_the_daemon_looks_up_what_is_in_doubt() -> None:
    for doubtful in (options(kills=1), options(faults=Faults())):
        assert doubtful.is_hard
        settings = doubtful.daemon_settings()
        assert settings["DELIVERY__IN_DOUBT"] == "reconcile"
        assert settings["DELIVERY__SETTLE_SECONDS"] == "5.0"


def test_faults_that_leave_no_doubt_ask_for_no_looking_up() -> None:
    clear = options(faults=Faults(preset=NO_DOUBT))
    assert clear.is_hard
    assert not clear.leaves_doubt
    assert "DELIVERY__IN_DOUBT" not in clear.daemon_settings()


def test_the_daemon_stays_under_what_the_sandbox_takes() -> None:
    fast = DemoOptions(calls=10, rate=1.0, seed=1, requests_per_minute=60_000)
    assert fast.daemon_settings()["CENTION__REQUESTS_PER_MINUTE"] == "57000"


def test_faults_are_asked_for_as_the_sandbox_takes_them() -> None:
    assert Faults(rate=0.5).document() == {"preset": "mixed", "rate": 0.5}
    some = Faults(kinds=("c3_end_errands",))
    assert some.document() == {"preset": "mixed", "rate": 0.2, "kinds": ["c3_end_errands"]}
