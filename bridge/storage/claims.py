"""Claims within one commit: lane heads that are due are marked as on their way and handed out."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    TextClause,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)

from bridge.domain.contacts import EMPTY_CARD, Card
from bridge.domain.deliveries import PAYLOADS, Kind, Payload, State, Tier
from bridge.ports import Claim, Gate, Parcel
from bridge.storage import tables
from bridge.storage.codecs import decode
from bridge.storage.outbox import OutboxTransaction
from bridge.storage.prepared import Query, as_set, in_set
from bridge.storage.sets import chunks

_UNREADABLE: Final = "it can't be read; the release that kept it could"


class ClaimsTransaction(OutboxTransaction):
    """The part of a transaction that hands deliveries out."""

    def stocked(self, gates: Collection[Gate]) -> set[Gate]:
        """Return the gates at which something is ready, due or not."""
        return {
            gate
            for some in chunks(sorted(gates, key=lambda gate: (gate.route, gate.kind)))
            for (position,) in self._connection.execute(
                _stocked_query(len(some)),
                {
                    name: value
                    for index, gate in enumerate(some)
                    for name, value in ((f"r{index}", gate.route), (f"k{index}", gate.kind))
                },
            )
            for gate in [some[position]]
        }

    def stocked_of(self, kinds: Collection[Kind]) -> set[Gate]:
        """Return the gates of these kinds at which something is ready, due or not."""
        found = (_STOCKED_OF.run(self._driver, kind=kind.value) for kind in sorted(kinds))
        return {Gate(route=route, kind=Kind(kind)) for rows in found for route, kind in rows}

    def claim(self, claim: Claim) -> list[Parcel]:
        """Mark lane heads that are due as on their way, and return them; see `ports.Transaction`.

        The newest of the live go first, so that whoever calls now doesn't wait for a crowd.
        """
        given = {
            "route": claim.gate.route,
            "kind": claim.gate.kind.value,
            "most": claim.limit,
            "now": claim.now_us,
        }
        since = claim.now_us if claim.tier is Tier.LATER else claim.live_us
        found = _HEADS[claim.tier].run(self._driver, **given, since=since)
        parcels, broken = _parcels([_DueRow._make(one) for one in found], claim.now_us, claim)
        if parcels:
            _TAKE.run(
                self._driver,
                of=as_set([one.id for one in parcels]),
                now=claim.now_us,
                scope=claim.scope,
                floor_id=claim.floor_id,
            )
        self._set_aside(broken, State.DEAD)
        return parcels

    def _set_aside(self, rows: Sequence["_DueRow"], state: State) -> None:
        """Leave what can't be read to a person, so that it stops nothing else."""
        if rows:
            table = tables.outbox
            self._connection.execute(
                update(table)
                .where(table.c.id.in_([row.id for row in rows]))
                .values(state=state, error=_UNREADABLE)
            )
            self.park([row.lane for row in rows])

    def sending(self) -> list[Parcel]:
        """Return what was on its way when the store was last closed or lost, without payloads."""
        return self._bare(tables.IS_UNCLEAR, tables.outbox.c.state == State.SENDING)

    def doubtful(self) -> list[Parcel]:
        """Return what is being looked up, without payloads; `attempts` counts those made."""
        return self._bare(tables.IS_UNCLEAR, tables.outbox.c.state == State.DOUBTFUL)

    def unnamed(self, scope: str) -> list[Parcel]:
        """Return errands that were made a moment ago by answers without a readable id."""
        return self._bare(tables.IS_UNNAMED, tables.outbox.c.scope == scope)

    def _bare(self, *conditions: ColumnElement[bool] | TextClause) -> list[Parcel]:
        """Return what these conditions are true of, without payloads."""
        table = tables.outbox
        columns = [table.c[name] for name in _DueRow._fields if name != "payload"]
        query = select(*columns).where(*conditions)
        rows = (_DueRow._make((*row, None)) for row in self._connection.execute(query))
        return [_parcel(row, EMPTY_CARD, 0) for row in rows]


# Statements are put together once: building one takes longer than running it.


@cache
def _stocked_query(count: int) -> CompoundSelect[Any]:
    """Return which of so many gates, by position, have something ready: a seek or two for each."""
    table = tables.outbox
    queries = []
    for index in range(count):
        here = table.c.route == bindparam(f"r{index}"), table.c.kind == bindparam(f"k{index}")
        queries.append(
            select(literal(index)).where(
                or_(
                    select(table.c.id).where(*here, tables.IS_FIRST).exists(),
                    select(table.c.id).where(*here, tables.IS_LATER).exists(),
                )
            )
        )
    return union_all(*queries)


class _DueRow(NamedTuple):
    """What of a row makes a parcel."""

    id: int
    key: str
    lane: str
    kind: str
    route: str
    source: str
    reference_id: str
    accepted_us: int
    first_us: int | None
    attempts: int
    person_id: str
    scope: str | None
    floor_id: int | None
    trace: str | None
    payload: bytes | None = None


def _heads(tier: Tier) -> Select[Any]:
    table = tables.outbox
    query = select(*(table.c[name] for name in _DueRow._fields)).where(
        table.c.route == bindparam("route"),
        table.c.kind == bindparam("kind"),
        or_(table.c.expires_us.is_(None), table.c.expires_us > bindparam("now")),
    )
    since: BindParameter[int] = bindparam("since")
    if tier is Tier.LIVE:
        query = query.where(tables.IS_FIRST, table.c.accepted_us > since)
        query = query.order_by(table.c.accepted_us.desc())
    elif tier is Tier.OLD:
        query = query.where(tables.IS_FIRST, table.c.accepted_us <= since)
        query = query.order_by(table.c.accepted_us)
    else:
        query = query.where(tables.IS_LATER, table.c.due_us <= since).order_by(table.c.due_us)
    return query.limit(bindparam("most"))


def _take() -> Update:
    table = tables.outbox
    scope: BindParameter[str] = bindparam("scope")
    # What it was tried with elsewhere says nothing of this workspace's ids.
    is_same = and_(func.coalesce(table.c.scope, scope) == scope, table.c.floor_id.is_not(None))
    return (
        update(table)
        .where(in_set(table.c.id, "of"))
        .values(
            state=State.SENDING,
            attempts=table.c.attempts + 1,
            first_us=func.coalesce(table.c.first_us, bindparam("now")),
            scope=scope,
            floor_id=case((is_same, table.c.floor_id), else_=bindparam("floor_id")),
        )
    )


_STOCKED_OF: Final = Query(
    select(tables.outbox.c.route, tables.outbox.c.kind)
    .where(
        tables.IS_PENDING,
        tables.outbox.c.state == State.READY,
        tables.outbox.c.kind == bindparam("kind"),
    )
    .distinct()
)
_HEADS: Final = {tier: Query(_heads(tier)) for tier in Tier}
_TAKE: Final = Query(_take())


def _parcels(
    rows: Sequence[_DueRow], now_us: int, claim: Claim
) -> tuple[list[Parcel], list[_DueRow]]:
    """Return the parcels that rows hold, and the rows that hold nothing readable."""
    parcels: list[Parcel] = []
    broken: list[_DueRow] = []
    for row in rows:
        try:
            parcel = _parcel(row, _payload(row), now_us)
        except ValueError:
            broken.append(row)
            continue
        is_same = row.scope in {None, claim.scope} and row.floor_id is not None
        floor_id = row.floor_id if is_same else claim.floor_id
        parcels.append(
            replace(
                parcel,
                attempts=row.attempts + 1,
                scope=claim.scope,
                floor_id=floor_id,
                is_later=claim.tier is Tier.LATER,
            )
        )
    return parcels, broken


def _payload(row: _DueRow) -> Payload | Card:
    kind = Kind(row.kind)
    if kind in PAYLOADS and row.payload is not None:
        return decode(PAYLOADS[kind], row.payload)
    return EMPTY_CARD


def _parcel(row: _DueRow, payload: Payload | Card, now_us: int) -> Parcel:
    return Parcel(
        id=row.id,
        key=row.key,
        lane=row.lane,
        kind=Kind(row.kind),
        route=row.route,
        source=row.source,
        reference_id=row.reference_id,
        accepted_us=row.accepted_us,
        first_us=row.first_us or now_us,
        attempts=row.attempts,
        payload=payload,
        person=row.person_id,
        scope=row.scope or "",
        floor_id=row.floor_id or 0,
        trace=row.trace,
    )
