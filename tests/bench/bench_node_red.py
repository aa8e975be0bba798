"""Node-RED with a flow that does what the bridge does to calls, and keeps nothing."""

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Any, Final

from bench_events import NEW_FROM
from bench_process import LOOPBACK, BenchError, Child, MissingProgramError, fetch
from bench_upstream import CARD, END, NEW, WORKSPACE_PATH

_INSTALL_S: Final = 600
_START: Final = Path("node_modules", "node-red", "red.js")
# No editor, and nothing that would look for news outside this machine.
_SETTINGS: Final = {
    "flowFile": "flows.json",
    "uiHost": LOOPBACK,
    "httpAdminRoot": False,
    "disableEditor": True,
    "credentialSecret": False,
    "telemetry": {"enabled": False, "updateNotification": False},
    "externalModules": {"autoInstall": False},
    "logging": {"console": {"level": "warn", "metrics": False, "audit": False}},
}
# The first output is the answer, the second one message for each request.
_FUNCTION: Final = """
const one = msg.payload;
msg.statusCode = 202;
msg.payload = {status: "accepted"};
const headers = {
  "Authorization": "Bearer token",
  "Content-Type": "application/vnd.api+json",
  "Accept": "application/vnd.api+json",
};
const made = (type, attributes) => ({
  url: URL_OF_UPSTREAM + type,
  headers: headers,
  payload: JSON.stringify({data: {type: type, attributes: attributes}}),
});
const data = {
  integrationName: "aventa",
  referenceId: one.referenceId,
  deviceId: one.deviceId,
  extensionId: one.extensionId,
};
if (one.eventType === "call.ended") {
  return [msg, [made("TYPE_END", {integrationData: data})]];
}
const mark = "aventa-" + one.referenceId.padStart(32, "0");
const called = one.destNumber.replace("+", "");
data.destNumber = called;
data.queueName = one.queueName;
data.queueNumber = one.queueNumber;
const leaving = [made("TYPE_NEW", {
  msg: {
    message_id: mark,
    name: one.callerName,
    from: one.callerNumber,
    subject: "Call: " + one.callerName + " → " + one.queueName,
    body: "Call\\nCaller: " + one.callerName + "\\nNumber: " + one.callerNumber +
      "\\nQueue: " + one.queueName + " (" + one.queueNumber + ")\\nCalled: " + called +
      "\\nTime: " + one.occurredAt + "\\n\\nref: " + mark,
  },
  integrationData: data,
})];
if (Number(one.callerNumber.slice(-7)) >= NEW_FROM) {
  leaving.push(made("TYPE_CARD", {
    contacts: {name: one.callerName, voice: [one.callerNumber]},
  }));
}
return [msg, leaving];
"""


def install(folder: Path, say: Callable[[str], None]) -> Path:
    """Return where Node-RED is; it is fetched if it isn't there yet.

    Raises:
        MissingProgramError: it can't be had.
    """
    if shutil.which("node") is None:
        raise MissingProgramError("Node-RED needs node; on Debian: apt-get install nodejs npm")
    if (folder / _START).exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise MissingProgramError("Node-RED is installed by npm; on Debian: apt-get install npm")
    say("installing Node-RED")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "node-red"]
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=_INSTALL_S, check=False)  # noqa: S603 - npm
    if not (folder / _START).exists():
        raise MissingProgramError(f"Node-RED can't be installed: npm install node-red in {folder}")
    return folder


class NodeRed(Child):
    """Node-RED at work on the flow."""

    def __init__(self, installed: Path, folder: Path, upstream_url: str) -> None:
        """Start it, and wait until the flow answers."""
        port = free_port()
        (folder / "settings.js").write_text(f"module.exports = {json.dumps(_SETTINGS)};\n")
        (folder / "flows.json").write_text(json.dumps(flow(upstream_url)))
        command: list[str | Path] = [
            "node",
            installed / _START,
            "--userDir",
            folder,
            "--port",
            str(port),
        ]
        super().__init__(command, folder / "node-red.log")
        root = f"http://{LOOPBACK}:{port}"
        self.url = f"{root}/v1/events"
        try:
            self.wait(lambda: _answers(f"{root}/ready"), "the flow answered")
        except BenchError:
            self.stop()
            raise


def _answers(url: str) -> bool:
    with suppress(OSError):
        return fetch(url)[0] == 200
    return False


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket() as one:
        one.bind((LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port


def flow(upstream_url: str) -> list[dict[str, Any]]:
    """Return the flow: events in, 202 out at once, requests to the upstream."""
    code = _FUNCTION.replace("URL_OF_UPSTREAM", json.dumps(f"{upstream_url}{WORKSPACE_PATH}/"))
    for name, value in {
        "TYPE_NEW": NEW,
        "TYPE_END": END,
        "TYPE_CARD": CARD,
        "NEW_FROM": str(NEW_FROM),
    }.items():
        code = code.replace(name, value)
    return [
        {"id": "bench", "type": "tab", "label": "bench"},
        _node("in", "http in", [["make"]], url="/v1/events", method="post"),
        _node("make", "function", [["out"], ["send"]], func=code, outputs=2),
        _node("out", "http response", []),
        _node("send", "http request", [[]], method="POST", ret="txt", persist=True, url=""),
        _node("look", "http in", [["fine"]], url="/ready", method="get"),
        _node("fine", "http response", [], statusCode="200"),
    ]


def _node(name: str, kind: str, wires: list[list[str]], **more: Any) -> dict[str, Any]:
    return {"id": name, "z": "bench", "type": kind, "wires": wires, **more}
