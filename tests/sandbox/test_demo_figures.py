from bridge.sandbox.figures import DaemonFigures, Latency, Snapshot


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert Latency.of([]) == Latency(None, None)
    assert Latency.of([0.5]) == Latency(0.5, 0.5)
    assert Latency.of(number / 1000 for number in range(100, 0, -1)) == Latency(0.050, 0.099)
    assert str(Latency(0.0012345, 1.2345)) == "1.2 ms / 1234 ms"
    assert str(Latency(None, None)) == "- / -"


def test_a_snapshot_is_put_into_words() -> None:
    snapshot = Snapshot(
        elapsed_seconds=12.34,
        calls_wanted=50,
        calls_posted=20,
        errands_created=19,
        errands_ended=18,
        contacts=7,
        answer=Latency(0.001, 0.002),
    )
    assert snapshot.line() == (
        "  12.3 s  calls 20/50  errands 19  ended 18  contacts 7  202 1.0 ms / 2.0 ms  errand - / -"
    )
    assert ("calls posted", "20 of 50") in snapshot.rows()
    assert ("waiting in the outbox", "?") in snapshot.rows()
    endless = Snapshot(calls_posted=20, pending=0)
    assert ("calls posted", "20") in endless.rows()
    assert ("waiting in the outbox", "0") in endless.rows()


def test_faults_are_shown_where_they_were_asked_for() -> None:
    struck = Snapshot(faults={"429": 2, "delay": 1})
    assert ("faults struck", "3: 2 x 429, 1 x delay") in struck.rows()
    assert "contacts 0  faults 3  202" in struck.line()
    assert ("faults struck", "0") in Snapshot(faults={}).rows()
    assert "faults" not in Snapshot().line()
    assert "faults struck" not in dict(Snapshot().rows())


def test_a_run_through_kills_shows_what_it_went_through() -> None:
    snapshot = Snapshot(
        events_repeated=9,
        events_duplicate=2,
        kills=3,
        others=21,
        lookups={"absent": 0, "found": 4, "held": 1},
        elapsed_seconds=10.0,
        calls_posted=25,
    )
    rows = dict(snapshot.rows())
    assert rows["events repeated by the PBX"] == "9, of which 2 were known already"
    assert rows["daemon killed"] == "3"
    assert rows["errands looked up"] == "5: 4 x found, 1 x held"
    assert rows["errands made by others"] == "21"
    assert rows["time"] == "10.0 s, 2.5 calls/s"
    assert "kills 3" in snapshot.line()


def test_a_run_that_nothing_happens_to_shows_no_hardship() -> None:
    labels = dict(Snapshot().rows())
    assert not {"events repeated by the PBX", "daemon killed", "errands made by others"} & {*labels}
    assert "kills" not in Snapshot().line()
    assert labels["time"] == "0.0 s, 0.0 calls/s"


def test_what_has_come_to_rest_does_not_move() -> None:
    before = Snapshot(errands_created=3, pending=1, elapsed_seconds=1.0)
    assert before.movement == Snapshot(errands_created=3, pending=1, elapsed_seconds=9.0).movement
    assert before.movement != Snapshot(errands_created=3, pending=0).movement
    assert before.movement != Snapshot(errands_created=3, pending=1, lookups={"found": 1}).movement


def test_the_daemons_figures_are_read_from_its_metrics() -> None:
    metrics = (
        "# HELP bridge_outbox_pending Deliveries that wait.\n"
        "# TYPE bridge_outbox_pending gauge\n"
        'bridge_outbox_pending{kind="new_errand"} 2.0\n'
        'bridge_outbox_pending{kind="contact_card"} 0\n'
        'bridge_outbox_pending{route="x",kind="end_errand"} 1e+01\n'
        'bridge_outbox_pending_other{kind="x"} 5.0\n'
        "bridge_outbox_oldest_seconds 3.0\n"
        "bridge_dead_letters 4.0\n"
        'bridge_lookups_total{outcome="found"} 6.0\n'
        'bridge_lookups_total{outcome="absent"} 1.0\n'
    )
    assert DaemonFigures.read(metrics) == DaemonFigures(
        pending={"new_errand": 2, "contact_card": 0, "end_errand": 10},
        stopped=4,
        lookups={"found": 6, "absent": 1},
    )
    assert DaemonFigures.read("") == DaemonFigures(pending={}, stopped=0, lookups={})
