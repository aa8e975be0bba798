"""What Prometheus sees of what comes back: callbacks, errand reports, Facebook ratings.

Queues and tags are what others call them, as many as they like. So no more than so many are told
apart, and what looks like a number in one is masked.
"""

from typing import Final

from prometheus_client import Histogram

from bridge.domain.masking import mask_numbers
from bridge.domain.reports import EXPIRIES, Sla
from bridge.ops.families import Families

PAIRS_MAX: Final = 200
TAGS_MAX: Final = 100
OTHER: Final = "other"
_LABEL_CHARS_MAX: Final = 64
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_WORK: Final = (15, 60, 180, 300, 600, 1800, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, _DAY, 3 * _DAY)


class FeedbackMetrics:
    """A `ports.FeedbackMeter` on prometheus_client."""

    def __init__(self, families: Families) -> None:
        """Register every metric."""
        counter = families.counter

        def histogram(name: str, text: str) -> Histogram:
            return families.histogram(name, text, _WORK, "route", "queue")

        self._callbacks = counter(
            "bridge_callbacks", "Callbacks of Cention by what came of them.", "outcome"
        )
        self._foreign = counter(
            "bridge_callback_foreign_links", "Links in callbacks that name a foreign host."
        )
        self._files = counter(
            "bridge_answer_files", "Files of answers by what came of fetching them.", "outcome"
        )
        self._answers = counter("bridge_answers", "Answers by whether their call is known.", "call")
        self._reports = counter(
            "bridge_reports", "Errand reports by what came of reading them.", "outcome"
        )
        self._answered = histogram(
            "bridge_errand_answer_seconds", "From the call to the first answer of its errand."
        )
        self._handling = histogram(
            "bridge_errand_handling_seconds", "Handling time of errands that are done."
        )
        self._response = histogram(
            "bridge_errand_response_seconds", "Response time of errands that are done."
        )
        self._sla = counter(
            "bridge_errand_sla",
            "Errands that are done, by whether within their SLA.",
            "route",
            "queue",
            "result",
        )
        self._expiry = counter(
            "bridge_errand_expiry",
            "Errands that are done, by their expiry state.",
            "route",
            "queue",
            "state",
        )
        self._tags = counter("bridge_errand_tags", "Errands that are done, by tag.", "tag")
        self._ratings = counter("bridge_facebook_ratings", "Facebook ratings by stars.", "rating")
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._known_tags: set[str] = set()
        for outcome in ("accepted", "duplicate", "rejected", "unauthorised"):
            self._callbacks.labels(outcome)

    def callback(self, outcome: str) -> None:
        """Count a callback."""
        self._callbacks.labels(outcome).inc()

    def foreign_links(self, count: int) -> None:
        """Count links that name another host than Cention's own."""
        self._foreign.inc(count)

    def file(self, outcome: str) -> None:
        """Count what came of fetching a file."""
        self._files.labels(outcome).inc()

    def matched(self, *, is_ours: bool) -> None:
        """Count an answer by whether its call is known."""
        self._answers.labels("known" if is_ours else "unknown").inc()

    def report(self, outcome: str) -> None:
        """Count a report that was read."""
        self._reports.labels(outcome).inc()

    def answered(self, route: str, queue: str, seconds: float) -> None:
        """Measure the time from a call to its answer."""
        self._answered.labels(*self._pair(route, queue)).observe(seconds)

    def sla(self, route: str, queue: str, sla: Sla) -> None:
        """Measure how an errand was handled."""
        pair = self._pair(route, queue)
        self._handling.labels(*pair).observe(sla.handling_s)
        self._response.labels(*pair).observe(sla.response_s)
        self._sla.labels(*pair, "within" if sla.is_within else "outside").inc()
        self._expiry.labels(*pair, EXPIRIES[sla.expiry]).inc()

    def tag(self, tag: str) -> None:
        """Count an errand that has a tag."""
        label = _label(tag)
        if label not in self._known_tags:
            if len(self._known_tags) >= TAGS_MAX:
                label = OTHER
            self._known_tags.add(label)
        self._tags.labels(label).inc()

    def rating(self, stars: int) -> None:
        """Count a Facebook rating."""
        self._ratings.labels(str(stars)).inc()

    def _pair(self, route: str, queue: str) -> tuple[str, str]:
        known = self._pairs.get((route, queue))
        if known is not None:
            return known
        if len(self._pairs) >= PAIRS_MAX:
            return OTHER, OTHER
        pair = self._pairs[route, queue] = (route, _label(queue))
        return pair


def _label(text: str) -> str:
    return mask_numbers(text[:_LABEL_CHARS_MAX])
