"""What Cention does with a request that has passed the checks, by type and method.

Each of these takes effect in one step, so that it can be done at once, or later and unseen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from bridge.sandbox import reports
from bridge.sandbox.documents import (
    read_contact_card,
    read_dirty_errands,
    read_end_errand,
    read_new_errand,
)
from bridge.sandbox.errands import agent_name
from bridge.sandbox.files import FIELDS as FILE_FIELDS
from bridge.sandbox.jsonapi import ApiError, answer, read_id, read_json, sparse
from bridge.sandbox.kinds import (
    ARCHIVES,
    ATTACHMENTS,
    CARDS,
    DIRTY_ERRANDS,
    DIRTY_RATINGS,
    END_ERRANDS,
    NEW_ERRANDS,
    RATINGS,
    REPORTS,
)
from bridge.sandbox.ratings import FIELDS as RATING_FIELDS
from bridge.sandbox.state import SandboxState


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: `area` is the token's, `id` the one in the path, empty where there is none."""

    workspace: str
    area: str
    body: bytes
    id: str
    query: Mapping[str, str]


Effect = Callable[[SandboxState, Asked], web.Response]


def new_errand(state: SandboxState, asked: Asked) -> web.Response:
    """Make an errand."""
    attributes = read_new_errand(read_json(asked.body))
    errand = state.errands.create(
        attributes,
        workspace=asked.workspace,
        area=asked.area,
        body=asked.body,
        now=state.options.wall_clock(),
    )
    return answer({"data": {"type": NEW_ERRANDS, "id": str(errand.id)}}, status=HTTPStatus.CREATED)


def end_errand(state: SandboxState, asked: Asked) -> web.Response:
    """End the errand of a reference."""
    attributes = read_end_errand(read_json(asked.body))
    reference = attributes["integrationData"]["referenceId"]
    errand = state.errands.end(
        workspace=asked.workspace,
        reference=reference,
        body=asked.body,
        now=state.options.wall_clock(),
        agent=agent_name(attributes),
    )
    if errand is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no errand of reference {reference!r}")
    return answer({"data": {"type": END_ERRANDS, "id": str(errand.id)}})


def contact_card(state: SandboxState, asked: Asked) -> web.Response:
    """Make a contact card, or append to one."""
    contacts = read_contact_card(read_json(asked.body))
    card, created = state.cards.merge(asked.workspace, contacts, state.options.wall_clock())
    attributes = {"c3_id": card.id, "contacts": card.contacts()}
    data = {"type": CARDS, "id": str(card.id), "attributes": attributes}
    return answer({"data": data}, status=HTTPStatus.CREATED if created else HTTPStatus.OK)


def dirty_errands(state: SandboxState, asked: Asked) -> web.Response:
    """List the errands that have changed."""
    attributes = {"errands": state.errands.dirty(asked.workspace)}
    return answer({"data": {"type": DIRTY_ERRANDS, "id": "0", "attributes": attributes}})


def mark_dirty_errands(state: SandboxState, asked: Asked) -> web.Response:
    """Mark errands as changed."""
    ids = read_dirty_errands(read_json(asked.body))["errands"]
    state.errands.mark_dirty(asked.workspace, ids)
    return answer({"data": {"type": DIRTY_ERRANDS, "id": "0"}})


def errand_report(state: SandboxState, asked: Asked) -> web.Response:
    """Report on an errand, which is no longer dirty then, whichever fields were asked for."""
    fields = sparse(asked.query, REPORTS, reports.FIELDS)
    found = state.errands.fetch(asked.workspace, read_id(asked.id))
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no errand {asked.id!r}")
    errand, was_dirty = found
    attributes = reports.attributes(
        errand,
        changed=was_dirty,
        now=state.options.wall_clock(),
        sla_delay_seconds=state.options.sla_delay_seconds,
    )
    return _resource(REPORTS, errand.id, attributes, fields)


def dirty_ratings(state: SandboxState, asked: Asked) -> web.Response:
    """List the Facebook ratings that nobody has fetched."""
    ids = state.ratings.dirty(asked.workspace)
    return answer({"data": [{"type": DIRTY_RATINGS, "id": str(number)} for number in ids]})


def rating(state: SandboxState, asked: Asked) -> web.Response:
    """Show a Facebook rating, which is no longer dirty then."""
    fields = sparse(asked.query, RATINGS, RATING_FIELDS)
    found = state.ratings.fetch(asked.workspace, read_id(asked.id))
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no Facebook rating {asked.id!r}")
    return _resource(RATINGS, found.id, found.attributes(), fields)


def attachment(state: SandboxState, asked: Asked) -> web.Response:
    """Show what an agent attached to an answer."""
    return _file(state, asked, ATTACHMENTS)


def archive(state: SandboxState, asked: Asked) -> web.Response:
    """Show an image that an agent put into an answer."""
    return _file(state, asked, ARCHIVES)


def _file(state: SandboxState, asked: Asked, kind: str) -> web.Response:
    fields = sparse(asked.query, kind, FILE_FIELDS)
    found = state.files.find(kind, asked.workspace, read_id(asked.id))
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no {kind} {asked.id!r}")
    return _resource(kind, found.id, found.attributes(), fields)


def _resource(
    kind: str, resource_id: int, attributes: dict[str, Any], fields: frozenset[str]
) -> web.Response:
    shown = {name: value for name, value in attributes.items() if name in fields}
    return answer({"data": {"type": kind, "id": str(resource_id), "attributes": shown}})
