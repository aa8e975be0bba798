"""The composition root: settings become a running bridge, and signals end it in order."""
