from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.errors import InvalidHours
from bridge.domain.hours import Hours, read_hours

STOCKHOLM = ZoneInfo("Europe/Stockholm")
OFFICE = read_hours(["mon-fri 08:00-17:00", "sat 10:00-12:00", "2026-12-25 closed"])
NIGHT = read_hours(["21:00-08:00"])


def at(text: str, zone: ZoneInfo = STOCKHOLM, fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
    return round(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        ("2026-11-27 07:59:59", False),
        ("2026-11-27 08:00", True),
        ("2026-11-27 16:59:59", True),
        ("2026-11-27 17:00", False),
        ("2026-11-28 11:00", True),
        ("2026-11-29 11:00", False),
        ("2026-12-25 11:00", False),
        ("2026-12-24 11:00", True),
    ],
)
def test_a_weekdays_hours_hold_but_for_a_date_that_is_unlike_it(
    moment: str, *, holds: bool
) -> None:
    assert OFFICE.hold(at(moment), STOCKHOLM) is holds


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        ("2026-11-27 20:59", False),
        ("2026-11-27 21:00", True),
        ("2026-11-28 00:00", True),
        ("2026-11-28 07:59", True),
        ("2026-11-28 08:00", False),
    ],
)
def test_hours_go_on_over_midnight(moment: str, *, holds: bool) -> None:
    assert NIGHT.hold(at(moment), STOCKHOLM) is holds


def test_a_night_that_begins_on_a_named_day_ends_on_the_next() -> None:
    friday = read_hours(["fri 22:00-06:00"])
    assert friday.hold(at("2026-11-28 05:00"), STOCKHOLM)
    assert not friday.hold(at("2026-11-27 05:00"), STOCKHOLM)


def test_hours_are_those_of_the_zone_asked_for() -> None:
    moment = at("2026-11-27 08:30")
    assert OFFICE.hold(moment, STOCKHOLM)
    assert not OFFICE.hold(moment, ZoneInfo("America/New_York"))


def test_a_date_may_have_hours_of_its_own() -> None:
    eve = read_hours(["mon-sun 08:00-17:00", "2026-12-24 08:00-12:00", "2026-12-24 13:00-14:00"])
    held = [eve.hold(at(f"2026-12-24 {hour}:30"), STOCKHOLM) for hour in (11, 12, 13, 14)]
    assert held == [True, False, True, False]


def test_runs_of_days_go_around_the_end_of_the_week() -> None:
    assert set(read_hours(["sat-mon 00:00-24:00"]).weekly) == {5, 6, 0}
    assert set(read_hours(["mon,wed-thu 10:00-11:00"]).weekly) == {0, 2, 3}


def test_what_waits_for_the_end_of_hours_that_touch_waits_for_the_last() -> None:
    touching = read_hours(["21:00-24:00", "00:00-08:00", "08:00-09:30"])
    assert touching.over_us(at("2026-11-27 22:00"), STOCKHOLM) == at("2026-11-28 09:30")


def test_what_is_outside_waits_for_nothing_and_what_is_always_inside_for_ever() -> None:
    assert NIGHT.over_us(at("2026-11-27 12:00"), STOCKHOLM) == at("2026-11-27 12:00")
    assert read_hours(["00:00-24:00"]).over_us(at("2026-11-27 12:00"), STOCKHOLM) is None


def test_the_morning_is_that_of_the_wall_when_clocks_are_set() -> None:
    assert NIGHT.over_us(at("2026-03-28 23:00"), STOCKHOLM) == at("2026-03-29 08:00")
    assert NIGHT.over_us(at("2026-10-24 23:00"), STOCKHOLM) == at("2026-10-25 08:00")


def test_hours_that_end_in_the_hour_that_comes_twice_end_when_it_is_over() -> None:
    short = read_hours(["01:00-02:30"])
    second = at("2026-10-25 02:15", fold=1)
    assert short.hold(second, STOCKHOLM)
    assert short.over_us(second, STOCKHOLM) == at("2026-10-25 02:30", fold=1)


def test_hours_that_end_in_the_hour_that_there_is_not_end_all_the_same() -> None:
    short = read_hours(["01:00-02:30"])
    over = short.over_us(at("2026-03-29 01:30"), STOCKHOLM)
    assert over is not None
    assert over <= at("2026-03-29 03:30")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "mon",
        "08:00",
        "mon 8:00-17:00",
        "mon 08:00-25:00",
        "mon 24:30-25:00",
        "mon 24:00-08:00",
        "mon 08:00-08:00",
        "mon 08:60-09:00",
        "mo 08:00-17:00",
        "mon-xyz 08:00-17:00",
        "mon closed",
        "closed",
        "2026-02-30 closed",
        "08:00-12:00 13:00-17:00",
    ],
)
def test_what_is_no_hours_is_refused(entry: str) -> None:
    with pytest.raises(InvalidHours):
        read_hours([entry])


def test_case_and_spaces_are_free() -> None:
    assert read_hours([" Mon-FRI   08:00-17:00 "]) == read_hours(["mon-fri 08:00-17:00"])


STRETCHES = st.builds(
    lambda days, start, length: f"{days} {_clock(start)}-{_clock((start + length) % 1440)}",
    st.sampled_from(["mon-fri", "sat", "sun-tue", "wed,fri", "mon-sun"]),
    st.integers(0, 1439),
    st.integers(1, 1439),
)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@given(
    st.lists(STRETCHES, max_size=4),
    st.integers(0, 366 * 24 * 60),
    st.sampled_from(["UTC", "Europe/Stockholm", "Asia/Kuala_Lumpur", "Australia/Lord_Howe"]),
)
def test_the_end_of_the_wait_is_outside_and_not_before(
    entries: list[str], minute: int, name: str
) -> None:
    hours: Hours = read_hours(entries)
    zone = ZoneInfo(name)
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    at_us = round(start.timestamp()) * 1_000_000
    over_us = hours.over_us(at_us, zone)
    if over_us is None:
        return
    assert over_us >= at_us
    assert not hours.hold(over_us, zone)
    assert (over_us == at_us) is (not hours.hold(at_us, zone))
