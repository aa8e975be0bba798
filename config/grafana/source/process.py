"""Process: the daemon itself, its store and its event loop."""

from grafana_foundation_sdk.builders import dashboard
from panels import board, lines, number, quantiles, row


def process() -> dashboard.Dashboard:
    """Return the dashboard."""
    return board(
        "aventa-bridge-process",
        "Aventa bridge: process",
        "What the daemon takes of its machine, how its store fares, and whether its loop turns.",
        *_now(),
        row("Machine"),
        *_machine(),
        row("Store"),
        *_store(),
        row("Event loop and door"),
        *_loop(),
    )


def _now() -> list[object]:
    return [
        number(
            "Scraped",
            "min(up{@})",
            about="Whether Prometheus reaches the daemon.",
            words={"1": ("yes", "green"), "0": ("no", "red")},
        ),
        number(
            "Up for",
            "min(time() - process_start_time_seconds{@})",
            about="Since the last start.",
            unit="s",
        ),
        number(
            "Starts, last hour",
            "sum(changes(process_start_time_seconds{@}[1h]))",
            about="More than one or two are a daemon that ends and is started again.",
            steps={1: "orange", 3: "red"},
        ),
        number(
            "Disk free",
            "min(bridge_store_disk_free_bytes{@} / bridge_store_disk_size_bytes{@})",
            about="Of the file system that the store is on. Without room no event can be kept.",
            unit="percentunit",
            steps={0: "red", 0.1: "orange", 0.2: "green"},
        ),
        number(
            "Store",
            "sum(bridge_store_bytes{@})",
            about="Size of the store's files.",
            unit="bytes",
        ),
        number(
            "Memory",
            "max(process_resident_memory_bytes{@})",
            about="Resident.",
            unit="bytes",
        ),
        number(
            "Loop lag, p99",
            "histogram_quantile(0.99, sum by (le) (rate("
            "bridge_event_loop_lag_seconds_bucket{@}[rate])))",
            about="How late the event loop wakes up.",
            unit="s",
            steps={0.1: "orange", 1: "red"},
        ),
        number(
            "Commit, p99",
            "histogram_quantile(0.99, sum by (le) (rate("
            "bridge_store_commit_seconds_bucket{@}[rate])))",
            about="A commit with its sync: a slow disk shows here first.",
            unit="s",
            steps={0.1: "orange", 1: "red"},
        ),
    ]


def _machine() -> list[object]:
    return [
        lines(
            "Memory",
            ("sum by (instance) (process_resident_memory_bytes{@})", "resident {{instance}}"),
            about="Idle, it is some 80 MB.",
            unit="bytes",
        ),
        lines(
            "Processor",
            (
                "sum by (instance) (rate(process_cpu_seconds_total{@}[rate]))",
                "{{instance}}",
            ),
            about="Of one processor; more than one the daemon can't use for long.",
            unit="percentunit",
        ),
        lines(
            "File descriptors",
            ("sum by (instance) (process_open_fds{@})", "open {{instance}}"),
            ("min(process_max_fds{@})", "limit"),
            about="Connections of phone systems, requests on their way, and files.",
        ),
        lines(
            "Starts",
            (
                "sum by (instance) (changes(process_start_time_seconds{@}[1h]))",
                "{{instance}}",
            ),
            about="In the hour before.",
        ),
    ]


def _store() -> list[object]:
    return [
        lines(
            "Size",
            ("sum by (file) (bridge_store_bytes{@})", "{{file}}"),
            about="The database, and the log of what was written last.",
            unit="bytes",
            is_stacked=True,
        ),
        lines(
            "Disk",
            ("min(bridge_store_disk_free_bytes{@})", "free"),
            ("max(bridge_store_disk_size_bytes{@})", "size"),
            about="The file system that the store is on.",
            unit="bytes",
        ),
        lines(
            "Time of a commit",
            *quantiles("bridge_store_commit_seconds_bucket{@}", of=(50, 99)),
            about="All that arrived while the last one ran shares one, and one sync.",
            unit="s",
        ),
        lines(
            "Items a commit",
            (
                (
                    "sum(rate(bridge_store_committed_items_total{@}[rate]))"
                    " / sum(rate(bridge_store_commit_seconds_count{@}[rate]))"
                ),
                "items",
            ),
            about="Events, claims and outcomes that shared a commit: more under load.",
        ),
    ]


def _loop() -> list[object]:
    return [
        lines(
            "Event loop lag",
            *quantiles("bridge_event_loop_lag_seconds_bucket{@}", of=(50, 99)),
            about="How much later than asked for the loop woke up: what blocks it, blocks all.",
            unit="s",
        ),
        lines(
            "Time of a request at the door",
            *quantiles("bridge_ingest_seconds_bucket{@}"),
            about="Request read to answer sent, with the commit in between.",
            unit="s",
            has_exemplars=True,
        ),
        lines(
            "Requests at the door",
            ("sum(rate(bridge_ingest_seconds_count{@}[rate]))", "requests"),
            about="Of phone systems. A batch is one.",
            unit="reqps",
        ),
        lines(
            "Callbacks",
            ("sum by (outcome) (rate(bridge_callbacks_total{@}[rate]))", "{{outcome}}"),
            about="Of Cention, with answers.",
            unit="reqps",
        ),
    ]
