"""Sending on what came back from Cention, to whoever the site names."""
