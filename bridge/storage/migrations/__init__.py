"""Alembic's migrations of the store, forward only."""
