"""A site whose centre is set up in a sandbox, with the real command."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

from cli_site import Site
from typer.testing import Result

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.state import ACCESS_KEY_ID, ACCESS_KEY_SECRET

SETTINGS = """\
[store]
url = "sqlite:///{store}"
[cention]
base_url = "%s"
workspace = "demo"
token = "cention-token"
[provision]
access_key_id = "%s"
access_key_secret = "%s"
requests_per_minute = 1000000
"""
DESK = '[area.desk]\nname = "Desk"\n'


class Watch:
    """Hangs up on the client at one request, before or after it is done."""

    def __init__(self) -> None:
        self.at: tuple[str, int] | None = None

    def __call__(self, moment: str, number: int) -> bool:
        return (moment, number) != self.at


class Centre:
    """A site whose file is set up in a sandbox."""

    def __init__(self, site: Site, url: str, watch: Watch) -> None:
        self.site = site
        self.url = url
        self.watch = watch
        self.file = site.folder / "centre.toml"
        site.write(SETTINGS % (url, ACCESS_KEY_ID, ACCESS_KEY_SECRET))

    def run(self, *args: object, code: int = 0) -> Result:
        result = self.site.run("provision", *args)
        assert result.exit_code == code, result.output
        return result

    def apply(self, *args: object, code: int = 0) -> Result:
        return self.run("apply", "-f", self.file, "--yes", *args, code=code)

    def plan(self, *args: object, code: int = 0) -> Result:
        return self.run("plan", "-f", self.file, *args, code=code)

    def asked(self) -> list[Any]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/requests") as response:  # noqa: S310 - loopback
            requests: list[Any] = json.load(response)
        return [(one["method"], one["path"], one["body"]) for one in requests]


@contextlib.contextmanager
def open_centre(site: Site) -> Iterator[Centre]:
    watch = Watch()
    app = create_app(SandboxOptions(watch=watch))
    with BackgroundServer(app, listen(0)) as server:
        yield Centre(site, server.url, watch)
