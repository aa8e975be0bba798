"""The sandbox: Cention as a site would meet it, and simulated Aventa calls."""
