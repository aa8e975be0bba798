"""Overview: do calls flow, does work arrive, and what wants somebody."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard
from panels import board, heat, lines, number, quantiles, row, states

_ERRANDS: Final = 'bridge_event_to_delivery_seconds_bucket{@,kind="new_errand"}'
_BREAKER: Final = {
    "0": ("well", "green"),
    "1": ("being tried", "orange"),
    "2": ("away", "red"),
}
_PAUSED: Final = {"0": ("open", "green"), "1": ("shut", "red")}


def overview() -> dashboard.Dashboard:
    """Return the dashboard."""
    return board(
        "aventa-bridge-overview",
        "Aventa bridge: overview",
        "Calls from Aventa, errands to Cention, and whatever keeps one from becoming the other.",
        *_now(),
        *_standing(),
        row("Calls and errands"),
        *_flow(),
        row("What waits"),
        *_backlog(),
        row("Cention"),
        *_upstream(),
        row("What became of the errands"),
        *_feedback(),
    )


def _now() -> list[object]:
    return [
        number(
            "Calls now",
            "sum(bridge_calls_active{@})",
            about="Calls that have begun and not ended, as far as events tell.",
        ),
        number(
            "Events a minute",
            'sum(rate(bridge_events_total{@,outcome="accepted"}[rate])) * 60',
            about="Events that are on disk. None in working hours: a phone system that is mute.",
            decimals=1,
        ),
        number(
            "Errands a minute",
            "sum(rate(bridge_deliveries_total"
            '{@,kind="new_errand",outcome="delivered"}[rate])) * 60',
            about="Errands created in Cention.",
            decimals=1,
        ),
        number(
            "Event to errand, p95",
            f"histogram_quantile(0.95, sum by (le) (rate({_ERRANDS}[rate])))",
            about="From an event's acceptance to its errand in Cention, for 95 of 100.",
            unit="s",
            steps={2: "orange", 30: "red"},
        ),
        number(
            "Waiting",
            "sum(bridge_outbox_pending{@})",
            about="Deliveries of all kinds that are to leave.",
            steps={100: "orange", 1000: "red"},
        ),
        number(
            "Oldest",
            "max(bridge_outbox_oldest_seconds{@})",
            about="How long the oldest of them has waited.",
            unit="s",
            steps={60: "orange", 300: "red"},
        ),
        number(
            "Dead letters",
            "sum(bridge_dead_letters{@})",
            about="Deliveries that only a person can help: `aventa-bridge dead-letters list`.",
            steps={1: "red"},
        ),
        number(
            "Quarantine",
            "sum(bridge_quarantined{@})",
            about="Events that were refused and kept: `aventa-bridge quarantine list`.",
            steps={1: "orange"},
        ),
    ]


def _standing() -> list[object]:
    return [
        number(
            "Cention",
            'max(bridge_breaker_state{@,upstream!="onward"})',
            about="The circuit breaker: whether requests leave as they come.",
            words=_BREAKER,
        ),
        number(
            "Routes shut",
            "sum(bridge_route_paused{@}) or vector(0)",
            about="Routes that are paused, by hand or since Cention refused their token.",
            steps={1: "red"},
        ),
        number(
            "Token days left",
            "(min(bridge_token_expiry_timestamp_seconds{@}) - time()) / 86400",
            about="Until the first of the tokens expires.",
            unit="d",
            steps={0: "orange", 14: "green"},
            decimals=0,
        ),
        number(
            "In time",
            "1 - sum(increase(bridge_errand_promptness_total"
            '{@,result="late"}[$__range])) / sum(increase(bridge_errand_promptness_total'
            '{@,result=~"prompt|late"}[$__range]))',
            about="Errands within two seconds of their event while Cention was well, in the time"
            " that is shown. The objective is 99.9 %.",
            unit="percentunit",
            steps={0: "red", 0.999: "green"},
            decimals=2,
        ),
        number(
            "In time, 30 days",
            "min(bridge:errands_in_time:ratio30d{@})",
            about="The same over 30 days.",
            unit="percentunit",
            steps={0: "red", 0.999: "green"},
            decimals=2,
        ),
        number(
            "Calls abandoned an hour",
            'sum(rate(bridge_calls_closed_total{@,outcome="abandoned"}[rate])) * 3600',
            about="Calls that ended before anybody answered.",
            decimals=0,
        ),
        number(
            "Within SLA",
            'sum(increase(bridge_errand_sla_total{@,result="within"}[$__range]))'
            " / sum(increase(bridge_errand_sla_total{@}[$__range]))",
            about="Errands that were done within their SLA, as Cention reports it.",
            unit="percentunit",
            decimals=1,
        ),
        number(
            "Rating",
            "avg(bridge_facebook_rating_mean{@})",
            about="Mean of the Facebook ratings that are kept, in stars.",
            decimals=1,
        ),
    ]


def _flow() -> list[object]:
    return [
        lines(
            "Events by type",
            (
                'sum by (type) (rate(bridge_events_total{@,outcome="accepted"}[rate]))',
                "{{type}}",
            ),
            about="What the phone system tells.",
            unit="eps",
            is_stacked=True,
        ),
        lines(
            "Errands created and ended",
            *(
                (
                    (
                        "sum(rate(bridge_deliveries_total"
                        f'{{@,kind="{kind}",outcome="delivered"}}[rate]))'
                    ),
                    name,
                )
                for kind, name in (("new_errand", "created"), ("end_errand", "ended"))
            ),
            about="What has arrived in Cention. The two go together, an end as long after its"
            " errand as the call lasts.",
            unit="ops",
        ),
        heat(
            "Event to errand",
            f"sum by (le) (increase({_ERRANDS}[rate]))",
            about="How long errands took, from their event's acceptance to Cention's answer.",
        ),
        lines(
            "Event to errand",
            *quantiles("bridge_event_to_delivery_seconds_bucket" + '{@,kind="new_errand"}'),
            about="The same as quantiles. The objective is two seconds.",
            unit="s",
            steps={2: "orange"},
            has_exemplars=True,
        ),
    ]


def _backlog() -> list[object]:
    return [
        lines(
            "Waiting, by kind",
            ("sum by (kind) (bridge_outbox_pending{@})", "{{kind}}"),
            about="Deliveries that are to leave.",
            is_stacked=True,
        ),
        lines(
            "Age of the oldest",
            ("max(bridge_outbox_oldest_seconds{@})", "since it was accepted"),
            ("max(bridge_outbox_overdue_seconds{@})", "since it was due"),
            about="Five minutes past due, somebody is told, unless Cention is away. What failed is"
            " due again when its time comes.",
            unit="s",
            steps={300: "red"},
        ),
        lines(
            "Dead letters and quarantine",
            ("sum(bridge_dead_letters{@})", "dead letters"),
            ("sum(bridge_quarantined{@})", "quarantine"),
            about="What waits for a person.",
        ),
        lines(
            "Refused and repeated events",
            (
                (
                    "sum by (outcome) (rate(bridge_events_total"
                    '{@,outcome=~"rejected|duplicate|unavailable"}[rate]))'
                ),
                "{{outcome}}",
            ),
            about="Events that were not valid or had come before, and requests that met 503.",
            unit="eps",
        ),
    ]


def _upstream() -> list[object]:
    return [
        lines(
            "Answers by status",
            (
                (
                    "sum by (status) (rate(bridge_upstream_responses_total"
                    '{@,upstream="cention"}[rate]))'
                ),
                "{{status}}",
            ),
            about="What Cention answers; `lost` and `not_connected` are no answer at all.",
            unit="reqps",
            is_stacked=True,
        ),
        states(
            "Health",
            ("max by (upstream) (bridge_breaker_state{@})", "{{upstream}}"),
            about="Whether requests leave as they come.",
            words=_BREAKER,
        ),
        states(
            "Routes that are shut",
            ("max by (route, kind) (bridge_route_paused{@})", "{{route}} {{kind}}"),
            about="Paused by hand, or since Cention refused the token or the workspace.",
            words=_PAUSED,
        ),
        lines(
            "Token days left",
            (
                "(min by (route) (bridge_token_expiry_timestamp_seconds{@}) - time()) / 86400",
                "{{route}}",
            ),
            about="Fourteen days before one expires somebody is told.",
            unit="d",
        ),
    ]


def _feedback() -> list[object]:
    return [
        lines(
            "SLA",
            (
                "sum by (result) (rate(bridge_errand_sla_total{@}[rate])) * 60",
                "{{result}}",
            ),
            about="Errands that are done, by whether within their SLA; a minute.",
            is_stacked=True,
        ),
        lines(
            "From call to answer",
            *quantiles("bridge_errand_answer_seconds_bucket{@}", of=(50, 95)),
            about="From the call to the first answer of its errand, as Cention reports it.",
            unit="s",
        ),
    ]
