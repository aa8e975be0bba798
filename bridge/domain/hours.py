"""Hours of the week, and days that are unlike others: when a centre is open, when to keep quiet.

All is by the clock on the wall, in a time zone that the caller brings. An entry is one of

- `mon-fri 08:00-17:00`: days of the week (a day, a run of days, several by commas), from and until;
- `21:00-08:00`: every day; what ends before it begins goes on over midnight;
- `2026-12-24 08:00-12:00`: a date, which has these hours instead of those of its weekday;
- `2026-12-25 closed`: a date that has none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from msgspec import Struct, field

from bridge.domain.errors import InvalidHours

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ENTRY: Final = re.compile(r"(?:(?P<days>[a-z0-9,-]+) )?(?P<span>[0-9:]+-[0-9:]+|closed)")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_MIN: Final = 24 * 60
# Hours that touch each other are one long wait; a week of them is for ever.
_WAITS_MAX: Final = 16
_EXAMPLE: Final = 'use for instance "mon-fri 08:00-17:00" or "2026-12-25 closed"'

# From and until, in minutes after midnight; until may lie on the next day.
Stretch = tuple[int, int]


class Hours(Struct, frozen=True):
    """Some hours: `weekly` by weekday (Monday is 0), `dated` by date, which wins."""

    weekly: Mapping[int, tuple[Stretch, ...]] = field(default_factory=dict)
    dated: Mapping[date, tuple[Stretch, ...]] = field(default_factory=dict)

    def hold(self, at_us: int, zone: tzinfo) -> bool:
        """Say whether a moment (microseconds since 1970) lies in them."""
        return bool(self._ends(_local(at_us, zone)))

    def over_us(self, at_us: int, zone: tzinfo) -> int | None:
        """Return the first moment from this one on that lies outside of them; None: never."""
        for _ in range(_WAITS_MAX):
            ends = self._ends(_local(at_us, zone))
            if not ends:
                return at_us
            # Where clocks are set back, a time of day comes twice: the one that is still to come.
            at_us = next(
                (moment for fold in (0, 1) if (moment := _utc_us(max(ends), zone, fold)) > at_us),
                at_us + 60_000_000,
            )
        return None

    def _ends(self, moment: datetime) -> list[datetime]:
        """Return when the stretches that a moment of the wall's clock lies in are over."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return [
            day + timedelta(minutes=until)
            for day in (midnight, midnight - timedelta(days=1))
            for start, until in self._of(day)
            if day + timedelta(minutes=start) <= moment < day + timedelta(minutes=until)
        ]

    def _of(self, day: datetime) -> tuple[Stretch, ...]:
        dated = self.dated.get(day.date())
        return self.weekly.get(day.weekday(), ()) if dated is None else dated


def _local(at_us: int, zone: tzinfo) -> datetime:
    seconds, micros = divmod(at_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, tz=UTC).astimezone(zone)
    return moment.replace(microsecond=micros, tzinfo=None)


def _utc_us(moment: datetime, zone: tzinfo, fold: int) -> int:
    return round(moment.replace(tzinfo=zone, fold=fold).timestamp()) * 1_000_000


def read_hours(entries: Iterable[str]) -> Hours:
    """Read entries as this module's head describes them.

    Raises:
        InvalidHours: one is none.
    """
    weekly: dict[int, tuple[Stretch, ...]] = {}
    dated: dict[date, tuple[Stretch, ...]] = {}
    for entry in entries:
        match = _ENTRY.fullmatch(" ".join(entry.lower().split()))
        if match is None:
            raise InvalidHours(f"{_EXAMPLE}")
        days, span = match["days"] or "mon-sun", match["span"]
        stretches = () if span == "closed" else (_stretch(span),)
        if _DATE.fullmatch(days):
            day = _date(days)
            dated[day] = (*dated.get(day, ()), *stretches)
            continue
        if not stretches:
            raise InvalidHours('only a date is closed; use for instance "2026-12-25 closed"')
        for weekday in _weekdays(days):
            weekly[weekday] = (*weekly.get(weekday, ()), *stretches)
    return Hours(weekly, dated)


def _stretch(text: str) -> Stretch:
    start, until = (_minutes(one) for one in text.split("-"))
    if start in {until, _DAY_MIN}:
        raise InvalidHours("from and until are the same, or from is 24:00; use 00:00-24:00 for all")
    return start, until if until > start else until + _DAY_MIN


def _minutes(text: str) -> int:
    match = _CLOCK.fullmatch(text)
    minutes = int(match[1]) * 60 + int(match[2]) if match else _DAY_MIN + 1
    if minutes > _DAY_MIN:
        raise InvalidHours(f"a time of day is 00:00…24:00; {_EXAMPLE}")
    return minutes


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidHours(f"there is no such date; {_EXAMPLE}") from None


def _weekdays(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise InvalidHours(f"days are {', '.join(_DAYS)}; {_EXAMPLE}")
        start = _DAYS.index(first)
        for step in range((_DAYS.index(last or first) - start) % 7 + 1):
            yield (start + step) % 7
