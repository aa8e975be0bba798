"""Reading what Cention calls back with: an answered errand, and the files that its answer has.

Of the link to a file only type and id are taken. Its host is never asked: anybody who can post a
callback could name one. *Assumed*: the sample's links say `localhost` and lack the workspace, so
that is what Cention's own look like.

Source: the vendor's page "Cention Errand API", "Cention Callback API".
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from bridge.cention.fields import a_list, a_text, an_object
from bridge.domain.answers import Answer, FileName, FileType, Recipient
from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.markers import find_marker

TYPE: Final = "c3_callback_answer_errands"
ERRAND_TYPE: Final = "c3_answer_errands"
ANSWERED: Final = 1
FILES_MAX: Final = 100
INCLUDED_MAX: Final = 1000
_ID: Final = re.compile(r"[0-9]{1,18}")
_TEXT_ID_MAX: Final = 64
_IN_LINK: Final = re.compile(r".*/(c3_[a-z_]+)/([0-9]{1,18})/?", re.DOTALL)
_WORKSPACE: Final = re.compile(r".*/s/([A-Za-z0-9._-]{1,128})/capi/json/", re.DOTALL)
_PORTS: Final = {"http": ":80", "https": ":443"}
_RELATIONS: Final = {
    "attachments": FileType.ATTACHMENT,
    "embedded_archives": FileType.ARCHIVE,
}


def read_callback(document: Any, own_hosts: Collection[str]) -> Answer:
    """Read a callback.

    Args:
        document: what was posted, parsed.
        own_hosts: Cention's own hosts, each with its port where one is given, in lower case.

    Raises:
        InvalidEvent: it is no callback about an answered errand.
    """
    data = an_object(_member(document, "data"))
    issues = list(_issues(document, data))
    if issues:
        raise InvalidEvent(issues, event_type=TYPE)
    included = [one for one in a_list(_member(document, "included")) if isinstance(one, dict)]
    errand_id = _errand_id(data, included)
    errand = _included(included, ERRAND_TYPE, errand_id)
    if errand is None:
        detail = f"holds no {ERRAND_TYPE} of the errand that /data is about"
        raise InvalidEvent([Issue("/included", detail)], event_type=TYPE)
    attributes = an_object(errand.get("attributes"))
    answer, service = an_object(attributes.get("answer")), an_object(attributes.get("service"))
    response = an_object(answer.get("response"))
    links = _Links(own_hosts)
    files = _files(errand, included, links)
    kind = service.get("type")
    body, html_body = a_text(response.get("body")), a_text(response.get("html_body"))
    return Answer(
        callback_id=_id_text(data["id"]),
        errand_id=int(errand_id),
        answer_id=_id_text(answer.get("c3_id")),
        response_id=_id_text(response.get("c3_id")),
        subject=a_text(response.get("subject")),
        body=body,
        html_body=html_body,
        to=tuple(
            Recipient(name=a_text(one.get("name")), email_address=a_text(one.get("email_address")))
            for one in a_list(response.get("to"))
            if isinstance(one, dict)
        ),
        service_name=a_text(service.get("name")),
        service_type=kind if type(kind) is int else None,
        files=files,
        marker=find_marker(html_body) or find_marker(body),
        workspace=links.workspaces.pop() if len(links.workspaces) == 1 else "",
        foreign_links=links.foreign,
    )


@dataclass(slots=True)
class _Links:
    """What the links of a callback have told: how many are foreign, which workspaces they name."""

    own_hosts: Collection[str]
    foreign: int = 0
    workspaces: set[str] = field(default_factory=set)

    def follow(self, link: str) -> FileName | None:
        """Return the file that a link's path ends with."""
        if not link:
            return None
        try:
            parts = urlsplit(link)
        except ValueError:
            self.foreign += 1
            return None
        if not _is_own(parts, self.own_hosts):
            self.foreign += 1
        elif named := _WORKSPACE.match(parts.path):
            self.workspaces.add(named[1])
        match = _IN_LINK.fullmatch(parts.path)
        return _file_name(match[1], match[2]) if match else None


def _issues(document: Any, data: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield what keeps a document from being a callback, before anything else is read of it."""
    if not isinstance(document, dict):
        yield Issue("", "must be a JSON:API document, an object")
        return
    if data.get("type") != TYPE:
        yield Issue("/data/type", f"must be {TYPE}")
        return
    if not _id_text(data.get("id")):
        yield Issue("/data/id", f"must be the callback's id, of 1…{_TEXT_ID_MAX} characters")
    event = an_object(data.get("attributes")).get("event")
    if isinstance(event, bool) or event != ANSWERED:  # true equals 1
        yield Issue("/data/attributes/event", f"must be {ANSWERED}, an answered errand")
    if not isinstance(document.get("included"), list):
        yield Issue("/included", f"must be a list, with the {ERRAND_TYPE} in it")
    elif len(document["included"]) > INCLUDED_MAX:
        yield Issue("/included", f"must have {INCLUDED_MAX} resources at most")
    elif not _ID.fullmatch(_errand_id(data, document["included"])):
        where = "/data/relationships/errand/data/id"
        yield Issue(where, "must be the errand's id, a number")


def _errand_id(data: Mapping[str, Any], included: list[Any]) -> str:
    """Return the id of the errand that was answered; of the only one included if it isn't said."""
    relation = an_object(an_object(data.get("relationships")).get("errand"))
    said = _id_text(an_object(relation.get("data")).get("id"))
    if said:
        return said
    found = [_id_text(one.get("id")) for one in included if _is_of(one, ERRAND_TYPE)]
    return found[0] if len(found) == 1 else ""


def _is_of(resource: Any, kind: str) -> bool:
    return isinstance(resource, dict) and resource.get("type") == kind


def _included(included: list[dict[str, Any]], kind: str, of: str) -> dict[str, Any] | None:
    return next(
        (one for one in included if _is_of(one, kind) and _id_text(one.get("id")) == of), None
    )


def _files(
    errand: Mapping[str, Any], included: list[dict[str, Any]], links: _Links
) -> tuple[FileName, ...]:
    """Return the files of an answer: those that it names, then what else is included."""
    relationships = an_object(errand.get("relationships"))
    found: dict[FileName, None] = {}
    linked: dict[FileName, FileName] = {}
    for resource in included:
        own = _file_name(resource.get("type"), _id_text(resource.get("id")))
        if own is None:
            continue
        linked[own] = links.follow(_link(resource)) or own
    for relation, kind in _RELATIONS.items():
        for one in a_list(an_object(relationships.get(relation)).get("data")):
            named = _file_name(kind, _id_text(an_object(one).get("id")))
            if named is not None:
                found[linked.get(named, named)] = None
    found.update(dict.fromkeys(linked.values()))
    return tuple(found)[:FILES_MAX]


def _file_name(kind: object, of: str) -> FileName | None:
    if not isinstance(kind, str) or kind not in set(FileType) or not _ID.fullmatch(of):
        return None
    return FileName(FileType(kind), int(of))


def _link(resource: Mapping[str, Any]) -> str:
    """Return where a resource says that it is: `links.self`, or `links.self.href`."""
    link = an_object(resource.get("links")).get("self")
    return a_text(link.get("href") if isinstance(link, dict) else link)


def _is_own(parts: SplitResult, own_hosts: Collection[str]) -> bool:
    if not parts.scheme and not parts.netloc:
        return True  # a path alone
    port = _PORTS.get(parts.scheme)
    host = parts.netloc.lower()
    if port is None or host == "localhost":
        return port is not None
    # The scheme's own port may be named, or not.
    return host.removesuffix(port) in {one.removesuffix(port) for one in own_hosts}


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _id_text(value: Any) -> str:
    """Return an id as text, be it one or a number; empty where it is neither, or too long."""
    if type(value) is int:
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= _TEXT_ID_MAX else ""
