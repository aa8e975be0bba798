"""Taking answers in: one is on disk before Cention is told so, and known when it comes again."""

from collections.abc import Callable, Sequence
from typing import Final

import orjson
from msgspec.structs import asdict, replace

from bridge.domain.answers import Answer
from bridge.domain.units import SECOND_US
from bridge.ports import ArrivedAnswer, Clock, Transaction, Writer
from bridge.services.folding import digest
from bridge.services.ingest import Taken

# How long an answer waits for its call to be known, and for files that can't be had now.
WAIT_MAX_US: Final = 3600 * SECOND_US


class AnswerIntake:
    """Keeps answers. `on_taken` is told when there is a new one."""

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        digest_key: bytes,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        """Stand on these ports."""
        self._writer = writer
        self._clock = clock
        self._digest_key = digest_key
        self._on_taken = on_taken

    async def take(self, answer: Answer) -> Taken:
        """Keep an answer; on disk when this returns.

        Raises:
            StoreUnavailable: it can't be kept now.
        """
        now_us = self._clock.now_us()
        arrived = ArrivedAnswer(
            answer=answer,
            digest=digest(self._digest_key, _canonical(answer)),
            received_us=now_us,
            give_up_us=now_us + WAIT_MAX_US,
        )
        taken = await self._writer.submit(_keep, arrived)
        if taken is Taken.ACCEPTED:
            self._on_taken()
        return taken


def _canonical(answer: Answer) -> bytes:
    """Return the content that tells two answers apart: files in any order, whatever their links."""
    files = tuple(sorted(answer.files, key=lambda one: (one.type, one.id)))
    same = replace(answer, files=files, foreign_links=0)
    return orjson.dumps(same, default=asdict, option=orjson.OPT_SORT_KEYS)


def _keep(tx: Transaction, arrived: Sequence[ArrivedAnswer]) -> list[Taken]:
    """Keep a commit's answers, those that are new: the same may have come twice within it."""
    known = tx.known_answers({one.answer.key for one in arrived})
    taken: list[Taken] = []
    fresh: list[ArrivedAnswer] = []
    for one in arrived:
        before = known.get(one.answer.key)
        if before is None:
            known[one.answer.key] = one.digest
            fresh.append(one)
            taken.append(Taken.ACCEPTED)
        else:
            taken.append(Taken.DUPLICATE if before == one.digest else Taken.CONFLICT)
    tx.add_answers(fresh)
    return taken
