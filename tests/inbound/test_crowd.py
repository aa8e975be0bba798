"""Who has to go, looked at without sockets."""

from hand_clock import HandClock

from bridge.inbound.crowd import ANSWER_S_MAX, HEAD_S_MAX, Crowd


class Seat:
    """A connection that remembers how it was asked to leave."""

    def __init__(self, peer: str = "192.0.2.1") -> None:
        self.peer = peer
        self.dismissed: int | None = None

    def dismiss(self, status: int) -> None:
        self.dismissed = status


class Counted:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def cut(self, reason: str) -> None:
        self.reasons.append(reason)


def full_house(size: int, peer: str = "192.0.2.1") -> tuple[Crowd, HandClock, list[Seat], Counted]:
    clock, counted = HandClock(), Counted()
    crowd = Crowd(clock, counted, connections_max=size)
    seats = [Seat(peer) for _ in range(size)]
    for seat in seats:
        assert crowd.came(seat)
    return crowd, clock, seats, counted


def test_who_waits_longest_makes_room() -> None:
    crowd, _, seats, counted = full_house(3, "")
    crowd.asks(seats[0])
    crowd.answered(seats[0])
    assert crowd.came(Seat("192.0.2.9"))
    assert [seat.dismissed for seat in seats] == [None, 0, None]
    assert counted.reasons == ["room"]
    assert len(crowd) == 3


async def test_a_head_that_stays_unfinished_goes_before_who_waits() -> None:
    crowd, clock, seats, _ = full_house(3)
    crowd.begins_head(seats[2])
    await clock.advance(2)
    assert crowd.came(Seat())
    assert seats[2].dismissed == 0
    crowd.close()


async def test_a_head_that_has_just_begun_is_given_the_time_to_come() -> None:
    crowd, _, seats, _ = full_house(2)
    crowd.begins_head(seats[1])
    assert crowd.came(Seat())
    assert (seats[0].dismissed, seats[1].dismissed) == (0, None)
    crowd.close()


def test_a_peer_with_more_than_half_of_the_places_pays_for_its_own_newcomers() -> None:
    crowd = Crowd(HandClock(), connections_max=4)
    honest, many = Seat("192.0.2.7"), [Seat() for _ in range(3)]
    for seat in (honest, *many):
        crowd.came(seat)
    assert crowd.came(Seat())
    assert honest.dismissed is None
    assert many[0].dismissed == 0


def test_who_brings_a_body_goes_when_nobody_waits() -> None:
    crowd, _, seats, _ = full_house(2)
    for seat in seats:
        crowd.asks(seat)
    crowd.begins_body(seats[1])
    assert crowd.came(Seat())
    assert (seats[0].dismissed, seats[1].dismissed) == (None, 0)


def test_who_is_being_answered_is_never_pushed_out() -> None:
    crowd, _, seats, counted = full_house(2)
    for seat in seats:
        crowd.asks(seat)
    assert not crowd.came(Seat())
    assert [seat.dismissed for seat in seats] == [None, None]
    assert counted.reasons == ["full"]


async def test_a_late_head_is_told_so_and_one_that_came_is_not() -> None:
    crowd, clock, seats, counted = full_house(3)
    crowd.begins_head(seats[0])
    crowd.begins_head(seats[1])
    crowd.ends_head(seats[1])
    await clock.advance(HEAD_S_MAX - 1)
    assert seats[0].dismissed is None
    await clock.advance(2)
    assert [seat.dismissed for seat in seats] == [408, None, None]
    assert counted.reasons == ["head"]


async def test_who_takes_no_answer_is_cut() -> None:
    crowd, clock, seats, counted = full_house(2)
    crowd.is_deaf(seats[0])
    crowd.is_deaf(seats[1])
    await clock.advance(ANSWER_S_MAX - 2)
    crowd.hears(seats[1])
    await clock.advance(4)
    assert [seat.dismissed for seat in seats] == [0, None]
    assert counted.reasons == ["answer"]


def test_who_has_gone_is_forgotten_and_leaves_a_place() -> None:
    crowd, _, seats, counted = full_house(2)
    crowd.went(seats[0])
    crowd.went(seats[0])
    crowd.answered(seats[0])
    assert len(crowd) == 1
    assert crowd.came(Seat())
    assert counted.reasons == []
