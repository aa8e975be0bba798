"""Cention: a thin, faithful client of its JSON:API."""
