"""The faults that are put in on purpose, each as a change of the bridge's source text."""

from dataclasses import dataclass
from typing import Final

SERVICES: Final = "bridge/services/"
DOMAIN: Final = "bridge/domain/"


@dataclass(frozen=True, slots=True)
class Patch:
    """One change: in the file at `path`, `old` (which is there once) becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bridge with a fault."""

    name: str
    patches: tuple[Patch, ...]


def _one(name: str, path: str, old: str, new: str) -> Mutant:
    return Mutant(name, (Patch(path, old, new),))


MUTANTS: Final = (
    _one(
        "answer before the commit",
        SERVICES + "ingest.py",
        "            kept = await self._kept(some)\n",
        "            work = self._kept(some)\n"
        "            self._later = asyncio.ensure_future(work)\n"
        "            kept = [Receipt(Taken.ACCEPTED) for _ in some]\n",
    ),
    _one(
        "sending mark lost",
        SERVICES + "claims.py",
        "            taken.append(Claimed(parcels, frozenset(basket.hot)))\n",
        "            taken.append(Claimed(parcels, frozenset(basket.hot)))\n"
        "            tx.settle([Settlement(id=one.id, state=State.READY, tier=1,\n"
        "                attempts=one.attempts, due_us=now_us + 60_000_000) for one in parcels])\n",
    ),
    _one(
        "what an offer took is forgotten",
        SERVICES + "dispatch.py",
        "        self._take(offer.channel, offer.wanted, taken)\n",
        "        self._take(offer.channel, offer.wanted, None)\n",
    ),
    _one(
        "resend without look-up",
        SERVICES + "recording.py",
        '    "reconcile": State.DOUBTFUL,\n',
        '    "reconcile": State.READY,\n',
    ),
    _one(
        "promote though the create failed",
        SERVICES + "recording.py",
        "                stopped.append(result.parcel.lane)\n",
        "                delivered.append(result.parcel.lane)\n"
        "                tx.settle([replace(settlement, state=State.DELIVERED)])\n",
    ),
    _one(
        "believed after one look",
        SERVICES + "reconcile.py",
        "is_over=is_settled and (is_looked_for or is_in_vain),",
        "is_over=doubt.looks >= 1,",
    ),
    _one(
        "settling not waited for",
        SERVICES + "reconcile.py",
        "is_settled = began_s - doubt.since_s >= self.policy.settle_s",
        "is_settled = True",
    ),
    _one(
        "intent not noted before a read",
        SERVICES + "looking.py",
        "        tx.intend(scope, errand_ids, now_us)\n",
        "        pass\n",
    ),
    _one(
        "put-back forgotten",
        SERVICES + "looking.py",
        "        await self._at.put_back([one for one in errand_ids if one not in own])\n",
        "        self._at.has_closed(errand_ids)\n"
        "        await self._writer.submit(_note, (scope, [], errand_ids, now_us))\n",
    ),
    _one(
        "a lost read never late",
        SERVICES + "reading.py",
        "        self._late[errand_id] = self._clock.monotonic() + self.settle_s\n",
        "        self._late.pop(errand_id, None)\n",
    ),
    _one(
        "bucket starts full",
        SERVICES + "limiter.py",
        "_tokens: float = field(default=0.0, init=False)",
        "_tokens: float = field(default=8.0, init=False)",
    ),
    _one(
        "counted when asked for, not when it leaves",
        SERVICES + "limiter.py",
        "        self._flow(now_s)\n        self._tokens -= count\n",
        "        self._tokens -= count\n",
    ),
    _one(
        "retries beside the pace",
        SERVICES + "dispatch.py",
        "channel.spend(len(taken.parcels), self._clock.monotonic())",
        "channel.spend(sum(p.attempts == 1 for p in taken.parcels), self._clock.monotonic())",
    ),
    _one(
        "no back-off",
        DOMAIN + "retry.py",
        "        delay_s = ceiling_s * chance\n",
        "        delay_s = ceiling_s * 0.0\n",
    ),
    _one(
        "a 429 costs an attempt",
        SERVICES + "recording.py",
        "elif verdict is Verdict.UNAUTHORISED or result.ruling.pauses_rate:",
        "elif verdict is Verdict.UNAUTHORISED:",
    ),
    _one(
        "Retry-After ignored",
        SERVICES + "channels.py",
        "            pause_s = min(asked_s, RATE_PAUSE_MAX_S)\n",
        "            pause_s = min(asked_s, 0.0)\n",
    ),
    _one(
        "lane order lost",
        DOMAIN + "calls.py",
        '        key=f"{creation.message_id}:end",\n        lane=creation.message_id,\n',
        '        key=f"{creation.message_id}:end",\n        lane=f"{creation.message_id}:end",\n',
    ),
    _one(
        "ended before it was answered",
        DOMAIN + "spans.py",
        "        return self.closing.at_us >= self.answered_us - CLOCK_SKEW_US\n",
        "        return True\n",
    ),
    _one(
        "hang-up ends a voicemail",
        DOMAIN + "spans.py",
        "        if self.answered_us is None or self.closing is None:\n            return False\n",
        "        if self.answered_us is None or self.closing is None:\n"
        "            return self.closing is not None\n",
    ),
    _one(
        "duplicates not recognised",
        SERVICES + "ingest.py",
        "        known = digests.get(arrival.key)\n",
        "        known = None\n",
    ),
    _one(
        "an errand for every answer",
        DOMAIN + "calls.py",
        "asked.errand is not None and not span.creations:",
        "asked.errand is not None:",
    ),
    _one(
        "floor from after the attempt",
        SERVICES + "reconcile.py",
        "        began_s = desk.looked_s = self._clock.monotonic()\n",
        "        from msgspec.structs import replace\n"
        "        highest = self._verdicts._recorder.highest_id(desk.scope)\n"
        "        parcels = [replace(one, floor_id=highest) for one in parcels]\n"
        "        began_s = desk.looked_s = self._clock.monotonic()\n",
    ),
    _one(
        "pause forgets the token's other routes",
        SERVICES + "recording.py",
        "                    for route in self._sender.sharing(parcel.route, status)\n",
        "                    for route in [parcel.route]\n",
    ),
    _one(
        "probes too often",
        SERVICES + "recording.py",
        "PROBE_US: Final = 60_000_000",
        "PROBE_US: Final = 5_000_000",
    ),
    _one(
        "a probe doesn't open the gate",
        SERVICES + "recording.py",
        "        elif parcel.is_probe and is_in_order(result.reply):\n",
        "        elif parcel.is_probe and result.reply.status == 0:\n",
    ),
    _one(
        "retries before first attempts",
        SERVICES + "claims.py",
        "    for are_cards in (False, True):\n",
        "    yield _Step(Tier.LATER, wanted.limit)\n    for are_cards in (False, True):\n",
    ),
    _one(
        "old before live",
        SERVICES + "claims.py",
        "are_cards) for tier in (Tier.LIVE, Tier.OLD))\n    yield",
        "are_cards) for tier in (Tier.OLD, Tier.LIVE))\n    yield",
    ),
    _one(
        "what waits doesn't move with the clock",
        SERVICES + "upkeep.py",
        "moved.append(tx.shift(step.drift_us))",
        "moved.append(0)",
    ),
    _one(
        "what was on its way is forgotten",
        SERVICES + "recording.py",
        "        parcels = tx.sending()\n",
        "        parcels = list(tx.sending())[:0]\n",
    ),
    _one(
        "an outcome dropped while the disk is full",
        SERVICES + "courier.py",
        "                return await self._writer.submit(self._recorder.record, result)\n"
        "            except StoreUnavailable as error:\n",
        "                return await self._writer.submit(self._recorder.record, result)\n"
        "            except StoreUnavailable as error:\n"
        '                return Recorded("retried")\n',
    ),
    _one(
        "found, and the end not let go",
        SERVICES + "verdicts.py",
        'found = [one.parcel.lane for one in settled if one.outcome == "found"]',
        "found: list[str] = []",
    ),
    _one(
        "a card sent without what it is found by",
        DOMAIN + "contacts.py",
        "                return _with_channels(missing, {kind",
        "                return missing or _with_channels(missing, {kind",
    ),
    _one(
        "a wrong workspace costs deliveries",
        SERVICES + "courier.py",
        "own_misses=own_misses, misses=misses)",
        "own_misses=parcel.attempts, misses=misses)",
    ),
    _one(
        "a breaker that never closes",
        SERVICES + "breaker.py",
        "        self.state = BreakerState.CLOSED\n        self._failures",
        "        self._failures",
    ),
    _one(
        "a reference never used again",
        DOMAIN + "calls.py",
        "    return span.first_us - policy.reuse_after_us <= at_us",
        "    return True or span.first_us - policy.reuse_after_us <= at_us",
    ),
    _one(
        "a message that was called off leaves",
        SERVICES + "folding.py",
        "        sheet.called_off.update(folded.called_off)\n",
        "        pass\n",
    ),
    _one(
        "a message waits for nothing",
        DOMAIN + "watemplates.py",
        "    settled_us = received_us + guide.settle_us\n",
        "    settled_us = received_us + 1\n",
    ),
    _one(
        "a rule writes each time",
        DOMAIN + "calls.py",
        "    if notice is not None and notice.rule in _noted_in_call(span, far):\n",
        "    if notice is not None and not span.first_us:\n",
    ),
    _one(
        "messages never expire",
        SERVICES + "upkeep.py",
        "        return [tx.expire(self._clock.now_us(), _ROWS_MAX) for _ in items]\n",
        "        return [0 for _ in items]\n",
    ),
    _one(
        "an abandoned call forgotten",
        SERVICES + "upkeep.py",
        "            for span in one.untold\n",
        "            for span in one.untold[:0]\n",
    ),
    _one(
        "a callback forgotten after a day",
        DOMAIN + "calls.py",
        "        if calls and _awaits_callback(calls[-1]):\n",
        "        if calls and not calls:\n",
    ),
)
