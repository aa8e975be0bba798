import gc
import weakref
from typing import Any, cast

import pytest

from bridge.domain.errors import InvalidEvent
from bridge.inbound.auth import Doorkeeper
from bridge.inbound.events import DoorPorts, EventsEndpoint
from bridge.inbound.shapes import Shape, read

BODIES = [(Shape.NDJSON, b'{"a": 1}\n{"a"\n'), (Shape.CLOUDEVENTS, b'[{"id": "1"}]')]


@pytest.mark.parametrize(("shape", "body"), BODIES)
def test_what_was_refused_is_freed_with_its_body_once_it_is_answered(
    shape: Shape, body: bytes
) -> None:
    nobody = cast("Any", None)
    ports = DoorPorts(
        ingest=nobody, writer=nobody, clock=nobody, meter=nobody, log=nobody, strangers=nobody
    )
    endpoint = EventsEndpoint(ports, doorkeeper=Doorkeeper())
    refused = [one for one in read(shape, body, {}).candidates if one.error is not None]
    (candidate,) = refused
    error = candidate.error
    assert isinstance(error, InvalidEvent)
    kept = weakref.ref(error)
    endpoint._admit(candidate)  # noqa: SLF001 - what it leaves behind is what counts
    del refused, candidate, error
    gc.collect()
    assert kept() is None
