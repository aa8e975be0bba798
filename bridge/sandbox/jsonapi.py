"""JSON:API 1.0 as Cention speaks it: the media type, its negotiation, answers and errors."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

MEDIA_TYPE: Final = "application/vnd.api+json"
ID_DIGITS_MAX: Final = 18
_PHRASES: Final[Mapping[int, str]] = {int(status): status.phrase for status in HTTPStatus}


class Issue(NamedTuple):
    """One thing wrong in a document; `pointer` is a JSON pointer (RFC 6901) to it."""

    pointer: str
    detail: str


class ApiError(Exception):
    """A request is answered with an error.

    Attributes:
        status: the HTTP status.
        issues: what is wrong, one JSON:API error object each; at least one.
        headers: sent with the answer.
    """

    def __init__(
        self,
        status: int,
        *details: str | Issue,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.issues = [Issue("", item) if isinstance(item, str) else item for item in details]
        self.headers = headers
        super().__init__(f"{status}: {'; '.join(issue.detail for issue in self.issues)}")

    def response(self) -> web.Response:
        """Return the error document (JSON:API 1.0, "Error Objects")."""
        return answer({"errors": list(self._errors())}, status=self.status, headers=self.headers)

    def _errors(self) -> Iterable[dict[str, Any]]:
        title = _PHRASES.get(self.status, f"Status {self.status}")
        for pointer, detail in self.issues:
            error: dict[str, Any] = {"status": str(self.status), "title": title, "detail": detail}
            # Only an unprocessable document has a place in it to point at.
            if pointer or self.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                error["source"] = {"pointer": pointer}
            yield error


def answer(
    document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON:API answer; its media type has no parameters, as the specification wants."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type=MEDIA_TYPE,
        headers=headers,
    )


def check_content_type(value: str | None) -> None:
    """Check a request's Content-Type.

    Raises:
        ApiError: 415, it is another one or has parameters ("Content Negotiation: Servers").
    """
    if value is None or value.strip().lower() != MEDIA_TYPE:
        raise ApiError(415, f"Content-Type must be {MEDIA_TYPE} without parameters")


def check_accept(value: str | None) -> None:
    """Check a request's Accept; none at all accepts everything.

    Raises:
        ApiError: 406, it lists the JSON:API media type, and each time with parameters. A weight
            (`q`) is no media type parameter (RFC 9110 §12.4.2).
    """
    if value is None or MEDIA_TYPE not in value.lower():
        return
    instances = [
        [part.strip() for part in item.split(";")]
        for item in value.lower().split(",")
        if item.split(";")[0].strip() == MEDIA_TYPE
    ]
    plain = any(
        all(not parameter or parameter.startswith("q=") for parameter in instance[1:])
        for instance in instances
    )
    if instances and not plain:
        raise ApiError(406, f"Accept must list {MEDIA_TYPE} without parameters")


def sparse(query: Mapping[str, str], kind: str, known: frozenset[str]) -> frozenset[str]:
    """Return the fields that a request asks for ("Sparse Fieldsets"); all where it names none.

    Raises:
        ApiError: 400, it names one that there is not.
    """
    asked = query.get(f"fields[{kind}]")
    if asked is None:
        return known
    fields = frozenset(name for name in asked.split(",") if name)
    if unknown := sorted(fields - known):
        raise ApiError(400, f"fields[{kind}] names what is no field: {', '.join(unknown)}")
    return fields


def read_id(text: str) -> int:
    """Return the id in a path; one that can't be any is 0, which nothing has."""
    is_id = text.isascii() and text.isdigit() and len(text) <= ID_DIGITS_MAX
    return int(text) if is_id else 0


def read_json(body: bytes) -> Any:
    """Return a body's JSON.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is not JSON: {error}") from error
