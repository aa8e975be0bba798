"""Delivery: what leaves, what came of it, and what holds it up."""

from grafana_foundation_sdk.builders import dashboard
from panels import board, lines, quantiles, row, states


def delivery() -> dashboard.Dashboard:
    """Return the dashboard."""
    return board(
        "aventa-bridge-delivery",
        "Aventa bridge: delivery",
        "Each request to Cention and to where answers are sent on to: attempts, outcomes, pace.",
        row("Attempts"),
        *_attempts(),
        *_objective(),
        row("Upstreams"),
        *_upstreams(),
        row("Lanes"),
        *_lanes(),
        row("Contacts and messages"),
        *_content(),
    )


def _attempts() -> list[object]:
    return [
        lines(
            "Attempts by outcome",
            (
                "sum by (outcome) (rate(bridge_deliveries_total{@}[rate]))",
                "{{outcome}}",
            ),
            about="What came of each request: delivered, retried, dead, or in doubt.",
            unit="ops",
            is_stacked=True,
        ),
        lines(
            "Attempts by kind",
            ("sum by (kind) (rate(bridge_deliveries_total{@}[rate]))", "{{kind}}"),
            about="What it is that leaves.",
            unit="ops",
            is_stacked=True,
        ),
        lines(
            "Not delivered at once",
            (
                (
                    "sum by (kind, outcome) (rate(bridge_deliveries_total"
                    '{@,outcome=~"retried|in_doubt|dead"}[rate])) > 0'
                ),
                "{{kind}} {{outcome}}",
            ),
            about="A retry comes by itself; a dead letter waits for a person.",
            unit="ops",
        ),
        lines(
            "Errands by promptness",
            (
                "sum by (result) (rate(bridge_errand_promptness_total{@}[rate]))",
                "{{result}}",
            ),
            about="Within two seconds of the event, later, or later while Cention was not well.",
            unit="ops",
            is_stacked=True,
        ),
    ]


def _objective() -> list[object]:
    return [
        lines(
            "Error budget: how fast it is spent",
            *(
                (f"max(bridge:errands_late:ratio_rate{window}{{@}}) / 0.001", f"over {window}")
                for window in ("5m", "1h", "6h", "3d")
            ),
            about="Late errands, as a multiple of the one in a thousand that the objective allows."
            " At 1 all of it is spent in 30 days, at 14.4 in two.",
            steps={1: "orange", 14.4: "red"},
            span=24,
        )
    ]


def _upstreams() -> list[object]:
    return [
        lines(
            "Time of a request",
            *quantiles('bridge_upstream_seconds_bucket{@,upstream="cention"}'),
            about="Sent to answered, at Cention.",
            unit="s",
            has_exemplars=True,
        ),
        lines(
            "Time of a request by kind, p95",
            (
                (
                    "histogram_quantile(0.95, sum by (le, kind) (rate("
                    "bridge_upstream_seconds_bucket{@}[rate])))"
                ),
                "{{kind}}",
            ),
            about="Reading requests are among them, with names of their own.",
            unit="s",
        ),
        lines(
            "Pace used",
            (
                (
                    "sum by (upstream) (rate(bridge_rate_spent_total{@}[rate])) * 60"
                    " / sum by (upstream) (bridge_rate_limit_per_minute{@})"
                ),
                "{{upstream}}",
            ),
            about="Requests that had leave, as a part of those that may leave in a minute.",
            unit="percentunit",
            steps={0.9: "orange"},
        ),
        lines(
            "On their way",
            ("sum by (upstream) (bridge_deliveries_in_flight{@})", "{{upstream}}"),
            about="Requests that have not been answered yet.",
        ),
        states(
            "Circuit breaker",
            ("max by (upstream) (bridge_breaker_state{@})", "{{upstream}}"),
            about="Closed: all leaves. Open: nothing does, but for a probe now and then.",
            words={
                "0": ("closed", "green"),
                "1": ("half-open", "orange"),
                "2": ("open", "red"),
            },
        ),
        lines(
            "Answers that are no success",
            (
                (
                    "sum by (upstream, status) (rate(bridge_upstream_responses_total"
                    '{@,status!~"2.."}[rate])) > 0'
                ),
                "{{upstream}} {{status}}",
            ),
            about="429 asks for a pause, 401 and 403 shut a route, 5xx open the breaker.",
            unit="reqps",
        ),
    ]


def _lanes() -> list[object]:
    return [
        lines(
            "Lanes by state",
            ("sum by (state) (bridge_outbox_rows{@})", "{{state}}"),
            about="Of each call's deliveries the first is ready, what comes after it blocked until"
            " that is delivered, or parked where it has stopped.",
            is_stacked=True,
        ),
        lines(
            "In doubt, looked up",
            ("sum by (outcome) (rate(bridge_lookups_total{@}[rate]))", "{{outcome}}"),
            about="Errands whose answer was lost: found in Cention's lists, absent and sent again,"
            " or held for a person.",
            unit="ops",
        ),
        lines(
            "Event to delivery by kind, p95",
            (
                (
                    "histogram_quantile(0.95, sum by (le, kind) (rate("
                    "bridge_event_to_delivery_seconds_bucket{@}[rate])))"
                ),
                "{{kind}}",
            ),
            about="From the event's acceptance to Cention's answer.",
            unit="s",
        ),
        lines(
            "Ends not sent",
            ("sum(rate(bridge_ends_skipped_total{@}[rate])) * 60", "skipped"),
            about="Cention can't end an errand without an agent; a minute.",
        ),
    ]


def _content() -> list[object]:
    return [
        lines(
            "Contact cards",
            ("sum by (outcome) (rate(bridge_contacts_total{@}[rate]))", "{{outcome}}"),
            about="Created, updated, unchanged (nothing had to be sent), or in conflict.",
            unit="ops",
            is_stacked=True,
        ),
        lines(
            "WhatsApp templates not sent",
            (
                "sum by (reason) (rate(bridge_watemplates_unsent_total{@}[rate])) * 60",
                "{{reason}}",
            ),
            about="Those that a rule would have sent, by why not; a minute.",
            is_stacked=True,
        ),
        lines(
            "Numbers",
            (
                "sum by (result) (rate(bridge_msisdn_total{@}[rate]))",
                "{{result}}",
            ),
            about="Phone numbers in events, by what was read.",
            unit="ops",
            is_stacked=True,
        ),
        lines(
            "Answers sent on",
            (
                'sum by (outcome) (rate(bridge_deliveries_total{@,kind="answer"}[rate]))',
                "{{outcome}}",
            ),
            ("sum(bridge_answers_waiting{@})", "waiting for their call or files"),
            about="Answers of agents, on their way back to the phone system's side.",
        ),
    ]
