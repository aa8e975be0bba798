"""What to think of the limits and the unit that the daemon runs under. Pure, as `judging` is."""

from typing import Final

from bridge.app.judging import mib
from bridge.app.measured import Finding, LimitFacts, UnitFacts, Verdict

# What 16 MiB of batches and files take beside the daemon itself; see docs/performance.md.
MEMORY_BYTES_WARN: Final = 256 * 2**20
FILES_WARN: Final = 4096
# What the unit that comes with the bridge says, of what matters most.
_SANDBOX: Final = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateDevices": "yes",
    "LimitCORE": "0",
}


def judge_limits(facts: LimitFacts) -> list[Finding]:
    """Judge what the daemon may use of the machine."""
    # Those of a shell say little about a service.
    tight = Verdict.WARN if facts.is_daemon else Verdict.NOTE
    whose = "for the daemon" if facts.is_daemon else "for this command, as no daemon can be seen"
    files = "any number" if facts.open_files is None else f"{facts.open_files:,}"
    found = Finding("open files", Verdict.OK, f"{files}, {whose}")
    if facts.open_files is not None and facts.open_files < FILES_WARN:
        advice = "each connection takes one: LimitNOFILE=65536 in the unit"
        found = Finding(found.check, tight, found.detail, advice)
    if facts.memory_bytes is None:
        return [found, Finding("memory", Verdict.OK, f"no limit, {whose}")]
    used = facts.memory_used_bytes
    detail = f"{mib(facts.memory_bytes)} at most, {whose}"
    detail += f"; {mib(used)} used" if used is not None else ""
    if facts.memory_bytes < MEMORY_BYTES_WARN:
        advice = f"large batches and files may not fit: allow {mib(MEMORY_BYTES_WARN)}"
        return [found, Finding("memory", tight, detail, advice)]
    return [found, Finding("memory", Verdict.OK, detail)]


def judge_unit(facts: UnitFacts) -> Finding:
    """Judge the service's unit."""
    if facts.skipped:
        return Finding("systemd unit", Verdict.NOTE, f"skipped: {facts.skipped}")
    said = facts.properties
    loose = [
        f"{name}={said.get(name) or 'no'}"
        for name, wanted in _SANDBOX.items()
        if said.get(name) != wanted
    ]
    if said.get("User") in {"", "root", None} and said.get("DynamicUser") != "yes":
        loose.append("User=root")
    state = f"{said.get('ActiveState', 'unknown')} ({said.get('SubState', 'unknown')})"
    if said.get("ActiveState") == "failed" or said.get("SubState") == "auto-restart":
        advice = "journalctl -u aventa-bridge -n 20 says why"
        return Finding("systemd unit", Verdict.FAIL, state, advice)
    if loose:
        detail = f"{state}; looser than the unit that comes with the bridge: {', '.join(loose)}"
        advice = "compare with systemd/aventa-bridge.service"
        return Finding("systemd unit", Verdict.WARN, detail, advice)
    if said.get("NeedDaemonReload") == "yes":
        detail = f"{state}; the unit has changed since systemd read it"
        advice = "systemctl daemon-reload && systemctl restart aventa-bridge"
        return Finding("systemd unit", Verdict.WARN, detail, advice)
    return Finding("systemd unit", Verdict.OK, f"{state}, in its sandbox")
