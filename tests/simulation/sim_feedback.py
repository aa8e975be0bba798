"""What comes back is no part of the simulation: whoever asks its store for it is wrong there."""

from collections.abc import Collection, Mapping, Sequence

from bridge.domain.reports import Followed, Origin, Rating
from bridge.ports import AnswerRow, AnswerState, ArrivedAnswer, Parcel


class NotSimulated(AssertionError):  # noqa: N818 - it says what it is
    """Something was asked for that no simulated part needs."""


class SimFeedback:
    """The part of a transaction that is about what came back."""

    def known_answers(self, _keys: Collection[str]) -> dict[str, bytes]:
        raise NotSimulated

    def add_answers(self, _arrived: Sequence[ArrivedAnswer]) -> None:
        raise NotSimulated

    def due_answers(
        self, _now_us: int, _state: AnswerState, _limit: int, _scope: str = ""
    ) -> list[AnswerRow]:
        raise NotSimulated

    def answer_scopes(self) -> list[str]:
        raise NotSimulated

    def silent_answers(self, _ids: Collection[int]) -> set[int]:
        raise NotSimulated

    def next_answer_us(self) -> int | None:
        raise NotSimulated

    def save_answers(self, _rows: Sequence[AnswerRow]) -> None:
        raise NotSimulated

    def spent_files(self, _limit: int) -> list[str]:
        raise NotSimulated

    def forget_files(self, _digests: Collection[str]) -> None:
        raise NotSimulated

    def held_files(self, _digests: Collection[str]) -> set[str]:
        raise NotSimulated

    def origins(self, _errand_ids: Collection[int], _scope: str | None = None) -> list[Origin]:
        raise NotSimulated

    def origins_of(self, _markers: Collection[str]) -> list[Origin]:
        raise NotSimulated

    def is_unclear(self, _before_us: int, *, with_unnamed: bool) -> bool:  # noqa: ARG002 - the port's own name
        raise NotSimulated

    def unnamed(self, _scope: str) -> list[Parcel]:
        raise NotSimulated

    def name_errands(self, _ids: Mapping[int, int]) -> None:
        raise NotSimulated

    def followed(self, _scope: str, _errand_ids: Collection[int]) -> dict[int, Followed]:
        raise NotSimulated

    def due_followed(self, _scope: str, _now_us: int, _limit: int) -> list[Followed]:
        raise NotSimulated

    def save_followed(self, _errands: Sequence[Followed]) -> None:
        raise NotSimulated

    def put_off(self, _scope: str, _until_us: Mapping[int, int]) -> None:
        raise NotSimulated

    def kept_ratings(self, _scope: str, _rating_ids: Collection[int]) -> set[int]:
        raise NotSimulated

    def open_ratings(self, _scope: str) -> list[int]:
        raise NotSimulated

    def intend_ratings(self, _scope: str, _rating_ids: Collection[int], _now_us: int) -> None:
        raise NotSimulated

    def note_ratings(self, _scope: str, _read: Mapping[int, Rating | None], _now_us: int) -> None:
        raise NotSimulated
