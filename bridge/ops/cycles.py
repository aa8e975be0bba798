"""What Python's collector of cycles looks through."""

import gc
from typing import Final

# Objects that came and stayed, after which cycles are looked for.
COLLECT_EVERY: Final = 10_000


def spare_collector() -> None:
    """Keep the cycle collector from looking through all that a daemon is made of.

    What is there by now stays, and of what events make next to nothing hangs together in cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 10, 10)
