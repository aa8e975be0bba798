"""A centre set up in memory: random files, a stand-in for Cention, and what is known of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from bridge.domain.centre import Centre, read_centre
from bridge.domain.centre_outcomes import Told
from bridge.domain.centre_plan import Plan, Record, Standing, plan
from bridge.domain.centre_values import ROUTING_TYPES, TIME_ZONES, WEEKDAYS, Kind, Ref
from bridge.domain.outcomes import Failure
from bridge.sandbox.administered import AdministeredBook
from bridge.sandbox.jsonapi import ApiError
from bridge.services.limiter import Pace
from bridge.services.provisioning import Outcome, Provisioner

SANDBOX_KINDS = {
    Kind.ORGANIZATION: "org",
    Kind.AREA: "area",
    Kind.TAG: "tag",
    Kind.KEYWORD: "keywords",
    Kind.AUTOTAG: "autotags",
    Kind.SIP: "sip",
}
SMALL: dict[str, Any] = {
    "organization": {"clinic": {"name": "Clinic"}},
    "area": {
        "desk": {"name": "Desk", "organization": "clinic"},
        "night": {"name": "Night", "due_date_move_to": "desk"},
    },
    "tag": {"vip": {"tag_name": "VIP", "areas": ["desk", "night"]}},
}
LOST = Told(failure=Failure.LOST, detail="ServerDisconnectedError")
AWAY = Told(failure=Failure.NOT_CONNECTED, detail="ConnectionRefusedError")


class Killed(BaseException):
    """The process is gone; nothing of it runs any more."""


class Clock:
    """A clock that stands on its own."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now_us(self) -> int:
        return round(self.now_s * 1e6)

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def drift_us(self) -> int:
        return 0

    def follow(self, drift_us: int) -> None:
        raise NotImplementedError

    def timeout(self, seconds: float) -> Any:
        raise NotImplementedError


class MemoryState:
    """A `ports.provisioning.CentreState`."""

    def __init__(self) -> None:
        self.rows: dict[Ref, Record] = {}
        self._place = 0

    def records(self) -> Sequence[Record]:
        return list(self.rows.values())

    def note(self, ref: Ref, standing: Standing, pending: Mapping[str, Any]) -> None:
        before = self.rows.get(ref)
        self._put(
            ref,
            standing,
            before.remote_id if before else None,
            before.fields if before else {},
            pending,
        )

    def settle(self, ref: Ref, remote_id: int, fields: Mapping[str, Any]) -> None:
        self._put(ref, Standing.DONE, remote_id, fields, {})

    def withdraw(self, ref: Ref) -> None:
        before = self.rows[ref]
        if before.remote_id is None:
            del self.rows[ref]
        else:
            self._put(ref, Standing.DONE, before.remote_id, before.fields, {})

    def forget(self, ref: Ref) -> None:
        del self.rows[ref]

    def _put(
        self,
        ref: Ref,
        standing: Standing,
        remote_id: int | None,
        fields: Mapping[str, Any],
        pending: Mapping[str, Any],
    ) -> None:
        before = self.rows.get(ref)
        if before is None:
            self._place += 1
        self.rows[ref] = Record(
            ref=ref,
            standing=standing,
            remote_id=remote_id,
            place=before.place if before else self._place,
            fields=fields,
            pending=pending,
            changed_us=0,
        )


@dataclass
class Cention:
    """A `ports.provisioning.Administration` on the sandbox's own book.

    `harm` is asked at each request: what comes back in the place of the answer, or None, and
    whether it was done.
    """

    book: AdministeredBook = field(default_factory=AdministeredBook)
    asked: list[tuple[str, Kind, dict[str, Any]]] = field(default_factory=list)
    harm: Callable[[int], tuple[Told | None, bool]] = lambda _: (None, True)
    dies_at: int = 0
    dies_after: bool = False

    async def create(self, kind: Kind, body: Mapping[str, Any]) -> Told:
        return self._do("POST", kind, body, self.book.create, dict(body))

    async def update(self, kind: Kind, remote_id: int, body: Mapping[str, Any]) -> Told:
        return self._do("PUT", kind, body, self.book.update, remote_id, dict(body))

    async def delete(self, kind: Kind, remote_id: int) -> Told:
        return self._do("DELETE", kind, {}, self.book.delete, remote_id)

    def _do(
        self,
        method: str,
        kind: Kind,
        body: Mapping[str, Any],
        effect: Callable[..., dict[str, Any]],
        *given: Any,
    ) -> Told:
        self.asked.append((method, kind, dict(body)))
        number = len(self.asked)
        if number == self.dies_at and not self.dies_after:
            raise Killed
        told, is_done = self.harm(number)
        if is_done:
            try:
                document = effect("demo", SANDBOX_KINDS[kind], *given)
                answer = Told(status=200, document=document)
            except ApiError as error:
                answer = Told(status=error.status, error=error.issues[0].detail)
        else:
            answer = LOST
        if number == self.dies_at:
            raise Killed
        return told or answer

    def holds(self) -> list[tuple[str, str]]:
        """Return all that there is, without ids: they differ from run to run."""
        shown = self.book.shown("demo")
        names = {
            (kind, int(number)): fields.get("name") or fields.get("tag_name")
            for kind, things in shown.items()
            for number, fields in things.items()
        }

        def plain(key: str, value: Any) -> Any:
            if key == "areas":
                return [names["area", one] for one in value]
            kinds = {"organisation_id": "org", "due_date_move_to_areaId": "area"}
            return names.get((kinds[key], value), "gone") if key in kinds else value

        return sorted(
            (kind, repr(sorted((key, plain(key, value)) for key, value in fields.items())))
            for kind, things in shown.items()
            for fields in things.values()
        )


async def run(
    plan: Plan, state: MemoryState, cention: Cention, clock: Clock | None = None, **given: Any
) -> Outcome:
    clock = clock or Clock()
    provisioner = Provisioner(
        state=state,
        administration=cention,
        clock=clock,
        pace=Pace(1_000_000, clock.monotonic()),
        **given,
    )
    return await provisioner.apply(plan)


def centre_of(document: Mapping[str, Any]) -> Centre:
    centre, mistakes = read_centre(document, {})
    assert centre is not None, mistakes
    return centre


def plan_of(document: Mapping[str, Any], state: MemoryState) -> Plan:
    return plan(centre_of(document).things if document else (), state.records())


def done(document: Mapping[str, Any], state: MemoryState, cention: Cention) -> Outcome:
    return asyncio.run(run(plan_of(document, state), state, cention))


TEXTS = st.text("aö:, =\"'/", max_size=6)
CLOCKS = st.sampled_from(["00:00", "08:30", "17:00", "23:59"])
WEEKS = st.dictionaries(
    st.sampled_from(WEEKDAYS),
    st.fixed_dictionaries({}, optional={"start": CLOCKS, "end": CLOCKS, "working": st.booleans()}),
    max_size=3,
)
SPANS = st.fixed_dictionaries({}, optional={"days": st.integers(0, 9), "mins": st.integers(0, 59)})
SHARED = {
    "active": st.booleans(),
    "anonymize_day": st.integers(0, 400),
    "external_id": TEXTS,
    "time_zone": st.sampled_from([*TIME_ZONES, *TIME_ZONES.values()]),
    "working_time_data": WEEKS,
    "bright_settings": st.fixed_dictionaries(
        {"active": st.booleans()}, optional={"language_code": st.sampled_from(["SE", "Finnish"])}
    ),
}
AREA = {
    **SHARED,
    "has_voice": st.booleans(),
    "description": TEXTS,
    "expire_time": st.fixed_dictionaries({}, optional={"hold_time": SPANS}),
    "server_emails": st.lists(
        st.sampled_from(["a@x.example", "b@x.example", "c@x.example"]), unique=True
    ).map(lambda names: [{"name": name} for name in names]),
    "agent_groups": st.lists(st.just({"id": 1, "name": "Agents"}), max_size=1),
}
NAMES = st.lists(st.sampled_from("abcd"), unique=True, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Make a centre's file."""

    def thing(optional: Mapping[str, Any], **fixed: Any) -> dict[str, Any]:
        return {**draw(st.fixed_dictionaries({}, optional=dict(optional))), **fixed}

    organizations, areas = draw(NAMES), draw(NAMES)
    document: dict[str, Any] = {
        "organization": {one: thing(SHARED, name=f"Org {one}") for one in organizations},
        "area": {one: thing(AREA, name=f"Area {one}") for one in areas},
    }
    for area in document["area"].values():
        is_of_one = draw(st.booleans())
        if organizations and is_of_one:
            area["organization"] = draw(st.sampled_from(organizations))
        if draw(st.booleans()):
            area["due_date_move_to"] = draw(st.sampled_from(areas))
    if not areas:
        return document
    served = st.lists(st.sampled_from(areas), unique=True, min_size=1)
    tags = draw(NAMES)
    document["tag"] = {
        one: thing({"tag_vip": st.booleans()}, tag_name=f"Tag {one}", areas=draw(served))
        for one in tags
    }
    for place, one in enumerate(tags[1:], start=1):
        if draw(st.booleans()):
            document["tag"][one]["parent_tag"] = draw(st.sampled_from(tags[:place]))
    words = {"content": st.just("x"), "type": st.sampled_from(ROUTING_TYPES)}
    document["keyword"] = {
        one: {**draw(st.fixed_dictionaries(words)), "areas": draw(served)} for one in draw(NAMES)
    }
    document["sip"] = {
        one: {"route_sip_id": f"46{one}", "areas": draw(served)} for one in draw(NAMES)
    }
    if tags:
        document["autotag"] = {
            one: {
                **draw(st.fixed_dictionaries(words)),
                "areas": draw(served),
                "tag": draw(st.sampled_from(tags)),
            }
            for one in draw(NAMES)
        }
    return document
