from dataclasses import dataclass, field
from typing import Any

from signed_samples import request

from bridge.inbound.auth import Doorkeeper, DoorKeys
from bridge.inbound.strangers import Strangers


@dataclass
class Known:
    """Clock, log and meter in one."""

    now_s: float = 0.0
    lines: list[dict[str, Any]] = field(default_factory=list)
    counted: list[tuple[str, str]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return round(self.now_s * 1e6)

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    def refused(self, source: str, reason: str) -> None:
        self.counted.append((source, reason))


def test_each_source_is_told_of_once_a_minute_and_every_refusal_is_counted() -> None:
    world: Any = Known()
    strangers = Strangers(world, world, world)
    keeper = Doorkeeper(DoorKeys(tokens=["t"], allowed=["192.0.2.7"]))
    here = request(remote="192.0.2.7")
    far = request({"Authorization": "Bearer kanarie"}, remote="8.8.8.8")
    bodies = set()
    for now_s in (0, 1, 59, 61, 62):
        world.now_s = now_s
        for source, one in (("aventa", here), ("desk", far)):
            answer = strangers.refuse(source, keeper, one)
            bodies.add((answer.status, bytes(answer.body or b""), str(answer.headers)))  # type: ignore[arg-type]
    assert len(bodies) == 1
    assert world.counted == [("aventa", "missing"), ("desk", "address")] * 5
    assert [(one["source"], one["reason"], one["untold"]) for one in world.lines] == [
        ("aventa", "missing", 0),
        ("desk", "address", 0),
        ("aventa", "missing", 2),
        ("desk", "address", 2),
    ]
    assert {one["peer"] for one in world.lines} == {"public", "private"}
    assert "kanarie" not in str(world.lines)
    assert "8.8.8" not in str(world.lines)
