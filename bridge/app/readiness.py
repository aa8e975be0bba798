"""What `/readyz` says of all that a daemon stands on."""

from collections.abc import Mapping, Sequence

from bridge.domain.outcomes import Reply
from bridge.ops.delivery_metrics import ONEVIEW, ONWARD
from bridge.ops.health import Dependency
from bridge.services.breaker import BreakerState


def dependencies(
    last: Reply | None,
    breakers: Mapping[str, BreakerState],
    paused: Sequence[str],
    *,
    is_kept: bool,
) -> list[Dependency]:
    """Return a line a dependency, of which the store alone is needed.

    Args:
        last: Cention's last answer, if there was one.
        breakers: the state of each upstream's circuit breaker, by its label.
        paused: what is held back, as `route/kind`.
        is_kept: whether the store takes events.
    """
    others = {label: state for label, state in breakers.items() if label in {ONWARD, ONEVIEW}}
    own = {label: state for label, state in breakers.items() if label not in others}
    cention: dict[str, object] = {"lastStatus": None}
    is_answering = not any(own.values())
    if last is not None:
        is_answering = is_answering and last.failure is None and last.status < 500
        cention["lastStatus"] = last.failure.value if last.failure else last.status
    cention["breakers"] = {label: state.name.lower() for label, state in own.items()}
    return [
        Dependency("store", is_kept, is_needed=True),
        Dependency("cention", is_answering, is_needed=False, detail=cention),
        Dependency("routes", not paused, is_needed=False, detail={"paused": paused}),
        *(Dependency(label, not state, is_needed=False) for label, state in others.items()),
    ]
