"""The admin address: metrics for Prometheus, liveness and readiness for whoever asks."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

NDJSON: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Dependency:
    """How one thing that the bridge stands on is doing.

    `is_needed` says whether events can't be kept without it.
    """

    name: str
    is_up: bool
    is_needed: bool
    detail: Mapping[str, object] = field(default_factory=dict)


Check = Callable[[], Awaitable[list[Dependency]]]
Refresh = Callable[[], Awaitable[None]]


def create_admin_app(
    registry: CollectorRegistry,
    check: Check,
    refresh: Refresh,
    describe: Callable[[], Mapping[str, Any]],
) -> web.Application:
    """Return the application for the admin address.

    `check` tells of the dependencies; `refresh` is awaited before metrics are shown; `describe`
    gives the OpenAPI document.
    """
    app = web.Application()

    async def metrics(request: web.Request) -> web.Response:
        await refresh()
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encoder(registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(_request: web.Request) -> web.Response:
        dependencies = await check()
        is_ready = all(one.is_up for one in dependencies if one.is_needed)
        lines = (
            orjson.dumps(
                {
                    "dependency": one.name,
                    "status": "up" if one.is_up else "down",
                    "needed": one.is_needed,
                    **one.detail,
                }
            )
            for one in dependencies
        )
        return web.Response(
            status=200 if is_ready else 503,
            body=b"\n".join(lines) + b"\n",
            content_type=NDJSON,
        )

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(body=orjson.dumps(describe()))

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    return app
