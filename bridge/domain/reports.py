"""Errand reports: what Cention says became of an errand, and what a centre wants to know of it.

Source: the vendor's page "Cention Errand Report".
"""

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.units import SECOND_US

# Cention works the SLA out every minute; one that stays away is looked for less and less often.
LOOK_AGAIN_MAX_US: Final = 3600 * SECOND_US
# What `Sla.expiry` says, in words.
EXPIRIES: Final = ("none", "warning", "expired")
LOOKS_MAX: Final = 30
# For how long at least an errand that stays on the list of others is not read again.
REREAD_MIN_US: Final = 300 * SECOND_US
REREAD_MAX_US: Final = 3600 * SECOND_US
_ANSWERED: Final = re.compile(r"\banswered\b", re.IGNORECASE)
_NO_DIGIT: Final = re.compile(r"\D")
_MINUTE_DIGITS: Final = len("202607171708")


class Action(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Something that was done with an errand. `at_s` is Unix seconds.

    `time` is the same moment as Cention shows it, in its own time zone.
    """

    at_s: int
    note: str = ""
    origin: str = ""
    time: str = ""


class Sla(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Whether an errand was handled in time, by Cention's reckoning. Times are seconds.

    `expiry` is 0 for none, 1 for a warning, 2 for expired.
    """

    is_within: bool
    handling_s: int
    response_s: int
    expiry: int = 0
    is_done_due: bool = False


class ErrandReport(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A report as it was read. Texts may hold HTML, and are data: never shown as they are.

    `answered_minute` is Cention's `answeredDate`, without a zone. `sla` is None while Cention is
    still working it out.
    """

    actions: tuple[Action, ...] = ()
    is_answered: bool = False
    is_closed: bool = False
    answered_minute: str = ""
    area: str = ""
    service: str = ""
    agent: str = ""
    subject: str = ""
    answer_subject: str = ""
    answer_body: str = ""
    tags: tuple[str, ...] = ()
    feedback: str = ""
    sla: Sla | None = None

    @property
    def is_done(self) -> bool:
        """Whether an agent is done with it."""
        return self.is_answered or self.is_closed

    @property
    def answered_s(self) -> int | None:
        """When it was first answered, in Unix seconds; None: it wasn't, or nothing tells when.

        Told by an action's words, else, since words may be in another language, by the minute that
        Cention shows; else it is the last that was done.
        """
        if not self.is_answered or not self.actions:
            return None
        by_words = [one for one in self.actions if _ANSWERED.search(one.note)]
        minute = _NO_DIGIT.sub("", self.answered_minute)
        by_minute = [
            one
            for one in self.actions
            if len(minute) == _MINUTE_DIGITS
            and _NO_DIGIT.sub("", one.time)[:_MINUTE_DIGITS] == minute
        ]
        found = by_words or by_minute
        if found:
            return min(one.at_s for one in found)
        return max(one.at_s for one in self.actions)


class Origin(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The call that an errand is of, as far as it is known.

    `called_us` is when the event that asked for the errand happened. `marker` is its message id.
    `is_answered_by_rule` says that it came into being answered, so that its times say nothing of
    agents.
    """

    scope: str
    errand_id: int
    source: str
    reference_id: str
    route: str
    queue: str
    called_us: int
    marker: str = ""
    is_answered_by_rule: bool = False


class News(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What a report tells for the first time. `answer_s` is the time from the call to the answer.

    `sla` and `tags` are told once, when the errand is done.
    """

    answer_s: float | None = None
    sla: Sla | None = None
    tags: tuple[str, ...] = ()


class Followed(Struct, frozen=True, gc=False, kw_only=True):
    """An errand that is followed by its reports. Times ending in `_us` are since 1970.

    `due_us` is when to read it again whatever the list of changed errands says; `is_whole` says
    that all of it is to be read then, and not only its SLA. `looks` counts readings in a row that
    had no SLA, `misses` those that brought nothing.
    """

    origin: Origin
    first_us: int
    read_us: int = 0
    due_us: int | None = None
    is_whole: bool = True
    looks: int = 0
    misses: int = 0
    answered_us: int | None = None
    is_done: bool = False
    is_gone: bool = False
    is_refused: bool = False
    sla: Sla | None = None
    tags: tuple[str, ...] = ()
    is_answer_told: bool = False
    is_sla_told: bool = False
    report: ErrandReport | None = None

    @property
    def answer_s(self) -> float | None:
        """The time from the call to the answer; clocks may differ, so it is never negative."""
        if self.answered_us is None:
            return None
        return max(0.0, (self.answered_us - self.origin.called_us) / 1e6)

    def intended(self, now_us: int) -> "Followed":
        """Return it as it is noted before it is read: if that comes to nothing, it is still due.

        All of it, since reading the SLA alone clears the mark of any other change too.
        """
        return replace(self, due_us=now_us, is_whole=True)

    def with_report(
        self, report: ErrandReport, now_us: int, every_us: int
    ) -> tuple["Followed", News]:
        """Return it after a whole report, and what that tells for the first time.

        `every_us` is how long to wait before an SLA that is still being worked out is looked for
        the next time; each time in vain doubles it.
        """
        answered_s = report.answered_s
        after = replace(
            self,
            answered_us=None if answered_s is None else answered_s * SECOND_US,
            is_done=report.is_done,
            tags=report.tags,
            report=report,
            looks=0,
            is_gone=False,
        )
        return _with_sla(after, report.sla, now_us, every_us)

    def with_sla(self, sla: Sla | None, now_us: int, every_us: int) -> tuple["Followed", News]:
        """Return it after its SLA alone was read."""
        report = replace(self.report, sla=sla) if self.report is not None else None
        return _with_sla(replace(self, report=report), sla, now_us, every_us)

    def given_up(self, now_us: int) -> "Followed":
        """Return it after a reading that will not come to anything: there is no such errand."""
        return replace(self, read_us=now_us, due_us=None, is_gone=True, is_refused=False)

    def missed(self, now_us: int, every_us: int) -> "Followed":
        """Return it after a reading that brought nothing, and may the next time."""
        return replace(
            self,
            read_us=now_us,
            due_us=_next_us(self.misses, now_us, every_us),
            misses=self.misses + 1,
            is_refused=True,
        )

    def read_from_us(self, *, is_exclusive: bool) -> int:
        """Return from when on its being listed as changed is a reason to read it.

        Where others read the same list, what was read stays on it, so that it says nothing any
        more, and so may what is listed and can't be had: it is read again after as long as it has
        been followed, an hour at most.
        """
        if self.is_refused and self.due_us is not None:
            return self.due_us
        if not self.read_us or (is_exclusive and not self.is_gone and not self.is_refused):
            return 0
        followed_us = self.read_us - self.first_us
        return self.read_us + min(max(REREAD_MIN_US, followed_us), REREAD_MAX_US)


def _next_us(before: int, now_us: int, every_us: int) -> int | None:
    """Return when to look again after one more look in vain; None: it was enough."""
    if before + 1 >= LOOKS_MAX:
        return None
    wait_us: int = every_us << before
    return now_us + min(wait_us, max(every_us, LOOK_AGAIN_MAX_US))


def _with_sla(
    errand: Followed, sla: Sla | None, now_us: int, every_us: int
) -> tuple[Followed, News]:
    is_waiting = sla is None
    after = replace(
        errand,
        read_us=now_us,
        sla=errand.sla if sla is None else sla,
        due_us=_next_us(errand.looks, now_us, every_us) if is_waiting else None,
        is_whole=False,
        looks=errand.looks + 1 if is_waiting else 0,
        misses=0,
        is_refused=False,
    )
    tells_answer = after.answered_us is not None and not after.is_answer_told
    tells_sla = after.is_done and not is_waiting and not after.is_sla_told
    news = News(
        answer_s=after.answer_s if tells_answer else None,
        sla=sla if tells_sla else None,
        tags=after.tags if tells_sla else (),
    )
    told = replace(
        after,
        is_answer_told=after.is_answer_told or tells_answer,
        is_sla_told=after.is_sla_told or tells_sla,
    )
    return told, News() if errand.origin.is_answered_by_rule else news


class Rating(Struct, frozen=True, gc=False, kw_only=True):
    """A Facebook rating: so many stars, 1 to 5, at a time in Unix seconds; 0: it isn't told.

    Who recommends a page without stars has none.
    """

    stars: int
    created_s: int = 0
    message: str = ""
    reviewer: str = ""
