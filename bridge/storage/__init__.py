"""The durable store: tables, the single writer with its shared commit, migrations."""
