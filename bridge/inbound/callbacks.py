"""`POST /v1/cention/callbacks`: what Cention tells of answered errands; 2xx when it is on disk.

Cention sends no token. What it can send is a secret within the document (`meta.api_secret`); where
none is set, only this machine and the addresses that the site has named are listened to.
"""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
from aiohttp import web

from bridge.domain.answers import Answer
from bridge.domain.errors import InvalidEvent, Issue, StoreUnavailable
from bridge.inbound.bodies import Bodies, Held, keep_refusals, peer_of, refusal
from bridge.inbound.peers import Network, Origins, is_within, networks
from bridge.inbound.problems import problem
from bridge.inbound.shapes import SINGLE_BYTES_MAX
from bridge.inbound.signatures import Knock
from bridge.inbound.strangers import TOLD_EVERY_S
from bridge.inbound.strict_json import StrictJsonError, loads
from bridge.ports import Clock, Log, Writer
from bridge.services.ingest import Taken

# No phone system can have this name, by which what was refused is known again.
SOURCE: Final = "cention:callbacks"
CALLBACKS_PATH: Final = "/v1/cention/callbacks"
CALLBACK: Final = "c3_callback_answer_errands"
CALLBACK_BYTES_MAX: Final = 8 * 1024 * 1024
BYTES_IN_HAND_MAX: Final = 32 * 1024 * 1024
TYPES: Final = ("application/vnd.api+json", "application/json")
# Possessive (`*+`), so that it never turns back: linear for any body.
_SAID: Final = re.compile(rb'"api_secret"\s*+:\s*+"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_CHALLENGE: Final = {"WWW-Authenticate": 'Secret realm="meta.api_secret"'}
_TOO_FAR: Final = (
    "Callbacks from this address need a secret: set callbacks.secret, or name the address in"
    " callbacks.addresses."
)
_STRANGE: Final = "meta.api_secret is missing, or is not the one that is expected."
_TOO_LARGE: Final = f"A callback holds at most {CALLBACK_BYTES_MAX // 2**20} MiB."
_CONFLICT: Final = "a callback with these ids and another answer is kept already"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may call back: whoever knows the secret; with none, this machine and these networks."""

    secret: str = field(default="", repr=False)
    networks: Sequence[str] = ()
    proxies: Sequence[str] = ()
    # As they are looked at, which is read once.
    _origins: Origins = field(init=False, repr=False, compare=False)
    _near: tuple[Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the addresses.

        Raises:
            ValueError: one of them is none; the settings have found it before.
        """
        object.__setattr__(self, "_origins", Origins(self.proxies))
        object.__setattr__(self, "_near", networks(self.networks))

    def knows(self, document: Any) -> bool:
        """Say whether a document has the secret. The comparison takes constant time."""
        meta = document.get("meta") if isinstance(document, dict) else None
        said = meta.get("api_secret") if isinstance(meta, dict) else None
        offered = said if isinstance(said, str) else ""
        return hmac.compare_digest(_hash(offered), _hash(self.secret)) and bool(offered)

    def is_quoted_in(self, raw: bytes) -> bool:
        """Say whether a body that can't be read says the secret by its name, and no other.

        Were it enough that the secret is somewhere in it, one body could try a million of them.
        """
        said = _SAID.findall(raw)
        try:
            offered = json.loads(b'"%b"' % said[0]) if len(said) == 1 else ""
        except ValueError:
            return False
        return self.knows({"meta": {"api_secret": offered}})

    def without_secret(self, raw: bytes) -> bytes:
        """Return a body that can't be read without the secret, and any that goes by its name."""
        for one in self._spelled():
            raw = raw.replace(one, b"***")
        return _SAID.sub(b'"api_secret":"***"', raw)

    def _spelled(self) -> list[bytes]:
        if not self.secret:
            return []
        spellings = (json.dumps(self.secret, ensure_ascii=is_ascii) for is_ascii in (True, False))
        return [one[1:-1].encode("utf-8", "surrogatepass") for one in spellings]

    def is_near_by(self, knock: Knock) -> bool:
        """Say whether a request comes from an address that needs no secret, proxies looked past."""
        address = self._origins.address_of(knock)
        return address is not None and (address.is_loopback or is_within(address, self._near))


class CallbackMeter(Protocol):
    """What this door counts."""

    def callback(self, outcome: str) -> None:
        """Count a callback."""
        ...

    def foreign_links(self, count: int) -> None:
        """Count links that name another host than Cention's own."""
        ...


class Taker(Protocol):
    """Who keeps answers."""

    async def take(self, answer: Answer) -> Taken:
        """Keep an answer; on disk when this returns."""
        ...


class CallbacksEndpoint:
    """Takes callbacks in over HTTP. `caller` and `read` can be replaced while running.

    `read` makes an answer of a document, or raises `InvalidEvent`.
    """

    def __init__(
        self,
        *,
        answers: Taker,
        read: Callable[[Any], Answer],
        writer: Writer,
        clock: Clock,
        meter: CallbackMeter,
        log: Log,
        caller: Caller,
    ) -> None:
        """Stand on these ports."""
        self._answers = answers
        self.read = read
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._log = log
        self.caller = caller
        # Not those of events: whoever calls back is known only by what is in the body.
        self._bodies = Bodies(BYTES_IN_HAND_MAX)
        self._told_s = float("-inf")

    async def post(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        try:
            if not self.caller.secret and not self.caller.is_near_by(request):
                return self._unauthorised(_TOO_FAR, request)
            if (request.content_length or 0) > CALLBACK_BYTES_MAX:
                return problem(413, _TOO_LARGE)
            with self._bodies.holding(request) as held:
                return await self._answer(request, held)
        except StoreUnavailable:
            return problem(503, "The callback can't be kept now; send it again later.")

    async def _answer(self, request: web.BaseRequest, held: Held) -> web.Response:
        raw = await held.read()
        if isinstance(raw, web.Response):
            return raw
        if len(raw) > CALLBACK_BYTES_MAX:
            return problem(413, _TOO_LARGE)
        try:
            if len(raw) > SINGLE_BYTES_MAX:
                # Reading megabytes takes long enough for others to notice.
                document = await asyncio.to_thread(loads, raw)
            else:
                document = loads(raw)
        except StrictJsonError as error:
            if self.caller.secret and not self.caller.is_quoted_in(raw):
                # Anybody could fill the quarantine so.
                return self._unauthorised(_STRANGE, request)
            raw = self.caller.without_secret(raw)
            issues = [Issue(error.pointer, error.detail)]
            return await self._refuse(400, "The body can't be read.", raw, request, issues)
        if self.caller.secret and not self.caller.knows(document):
            return self._unauthorised(_STRANGE, request)
        if request.content_type not in TYPES:
            return problem(415, f"Content-Type must be {' or '.join(TYPES)}.")
        if len(raw) <= SINGLE_BYTES_MAX:
            return await self._take(document, _without_meta(document), request)
        kept = await asyncio.to_thread(_without_meta, document)
        return await self._take(document, kept, request)

    async def _take(self, document: Any, kept: bytes, request: web.BaseRequest) -> web.Response:
        try:
            if len(kept) > SINGLE_BYTES_MAX:
                answer = await asyncio.to_thread(self.read, document)
            else:
                answer = self.read(document)
        except InvalidEvent as error:
            detail = "This is no callback about an answered errand."
            return await self._refuse(422, detail, kept, request, error.issues)
        try:
            taken = await self._answers.take(answer)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours; a later release may take it
            self._log.error("a callback can't be processed", exc_info=error)
            issues = [Issue("", "can't be processed; it is kept in quarantine")]
            return await self._refuse(422, issues[0].detail, kept, request, issues)
        if taken is Taken.CONFLICT:
            return await self._refuse(409, _CONFLICT, kept, request, [Issue("/data/id", _CONFLICT)])
        self._meter.callback(taken.value)
        if taken is Taken.ACCEPTED and answer.foreign_links:
            self._meter.foreign_links(answer.foreign_links)
        status = 202 if taken is Taken.ACCEPTED else 200
        told = {"status": taken.value, "callbackId": answer.callback_id}
        return web.Response(status=status, body=orjson.dumps(told), content_type="application/json")

    def _unauthorised(self, detail: str, request: web.BaseRequest) -> web.Response:
        self._meter.callback("unauthorised")
        now_s = self._clock.monotonic()
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            self._log.warning("callback not authorised", peer=peer_of(request), hint=detail)
        return problem(401, detail, headers=_CHALLENGE)

    async def _refuse(
        self,
        status: int,
        detail: str,
        raw: bytes,
        request: web.BaseRequest,
        issues: Sequence[Issue],
    ) -> web.Response:
        """Keep what was refused, and say so."""
        self._meter.callback("rejected")
        kept = refusal(
            source=SOURCE,
            received_us=self._clock.now_us(),
            status=status,
            content_type=request.headers.get("Content-Type", ""),
            issues=issues,
            body=raw,
        )
        await self._writer.submit(keep_refusals, kept)
        self._log.info("callback refused", status=status, peer=peer_of(request))
        return problem(status, detail, issues=issues, quarantine_id=kept.id)


def _without_meta(document: Any) -> bytes:
    """Return a document as it may be kept: whoever reads it is not to learn the secret."""
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if key != "meta"}
    return orjson.dumps(document)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
