"""`aventa-bridge sandbox`: the stand-in for Cention and One View alone."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from bridge.sandbox.state import SandboxOptions

TOKEN_SECONDS: Final = 365 * 24 * 3600


def sandbox(  # noqa: PLR0913 - each is an option
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8085,
    *,
    requests_per_minute: Annotated[
        int, typer.Option(min=1, help="Requests a workspace takes in any 60 seconds.")
    ] = 1000,
    workspace: Annotated[
        list[str] | None,
        typer.Option(help="A workspace that exists; may be repeated (default: demo)."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    sla_delay_seconds: Annotated[
        float,
        typer.Option(
            "--sla-delay-seconds",
            "--sla-delay",
            min=0,
            help="Seconds after an errand's change before its report has an SLA.",
        ),
    ] = 60.0,
    callback_url: Annotated[
        str,
        typer.Option(help="Address that is told of answered errands (default: none is)."),
    ] = "",
    callback_secret: Annotated[
        str, typer.Option(help="Secret that is sent along with that (default: none).")
    ] = "",
    seed: Annotated[
        int | None,
        typer.Option(help="Makes faults strike the same requests again (default: by chance)."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON: base_url, workspace, token.")
    ] = False,
) -> None:
    """Run a stand-in for Cention and One View until it is stopped with Ctrl-C.

    It takes errands, their ends and contact cards, and gives reports, as Cention does; and what
    `provision` sets up, with the access key that it shows.
    What it was sent is shown under /_sandbox: errands, contacts, requests, summary.
    Faults are set there too: POST {"preset": "mixed", "rate": 0.2} to /_sandbox/faults.

    An errand is answered by a POST to /_sandbox/errands/<id>/answer, which the callback address
    is told of.

    Example: aventa-bridge sandbox --port 8085 --requests-per-minute 60

    Example: aventa-bridge sandbox --callback-url http://127.0.0.1:8080/v1/cention/callbacks
    """
    # Here and not above, since `run` has no use for them and imports are memory.
    from random import Random  # noqa: PLC0415

    from bridge.sandbox.callbacks import is_address  # noqa: PLC0415
    from bridge.sandbox.state import SandboxOptions  # noqa: PLC0415

    if callback_url and not is_address(callback_url):
        raise typer.BadParameter("must be an http or https URL", param_hint="--callback-url")
    workspaces = tuple(workspace) if workspace else ("demo",)
    options = SandboxOptions(
        requests_per_minute=requests_per_minute,
        workspaces=workspaces,
        random=Random(seed),  # noqa: S311 - made-up faults, no secrets
        sla_delay_seconds=sla_delay_seconds,
        callback_url=callback_url,
        callback_secret=callback_secret,
    )
    _run(options, host, port, as_json=as_json)


def _run(options: "SandboxOptions", host: str, port: int, *, as_json: bool) -> None:
    import uvloop  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options, host, port, as_json=as_json))


async def _serve(options: "SandboxOptions", host: str, port: int, *, as_json: bool) -> None:
    import orjson  # noqa: PLC0415

    from bridge.sandbox.cention import create_app  # noqa: PLC0415
    from bridge.sandbox.serve import listen, serving, stop_on_signals  # noqa: PLC0415
    from bridge.sandbox.state import ACCESS_KEY_ID, ACCESS_KEY_SECRET  # noqa: PLC0415
    from bridge.sandbox.tokens import make_token  # noqa: PLC0415

    try:
        listener = listen(port, host=host)
    except OSError as error:
        typer.echo(f"Can't listen on {host} port {port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error
    workspace = options.workspaces[0]
    token = make_token(options.token_key, area=workspace, expires_at=time.time() + TOKEN_SECONDS)
    with stop_on_signals() as stop:
        async with serving(create_app(options), listener) as url:
            if as_json:
                started = {"base_url": url, "workspace": workspace, "token": token}
                typer.echo(orjson.dumps(started))
            else:
                typer.echo(f"The sandbox listens on {url} (Ctrl-C stops it)")
                typer.echo(f"What it was sent: {url}/_sandbox/errands")
                typer.echo("For the bridge's environment:")
                # In one go: whoever has read the first of these may not be there for another.
                typer.echo(
                    f"BRIDGE_CENTION__BASE_URL={url} BRIDGE_CENTION__WORKSPACE={workspace}"
                    f" BRIDGE_CENTION__TOKEN={token}\n"
                    f"BRIDGE_PROVISION__ACCESS_KEY_ID={ACCESS_KEY_ID}"
                    f" BRIDGE_PROVISION__ACCESS_KEY_SECRET={ACCESS_KEY_SECRET}"
                )
            await stop.wait()
