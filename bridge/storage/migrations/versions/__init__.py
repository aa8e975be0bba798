"""One file a schema, the oldest first."""
