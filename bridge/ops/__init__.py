"""Running it: clock, metrics, logs, health and systemd."""
