"""The bridge, but that it keeps nothing: an event that is checked is accepted, and that is all.

python bench_checking.py run

What its intake reaches is a bound of what the bridge can reach.
"""

from collections.abc import Sequence
from unittest.mock import patch

from bridge.__main__ import main
from bridge.app import daemon
from bridge.services.ingest import Arrival, Ingest, Receipt, Taken


class _Checking(Ingest):
    async def _kept(self, arrivals: Sequence[Arrival]) -> list[Receipt | Exception]:
        return [Receipt(Taken.ACCEPTED)] * len(arrivals)


if __name__ == "__main__":
    with patch.object(daemon, "Ingest", _Checking):
        main()
