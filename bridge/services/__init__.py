"""The bridge's use cases: intake, dispatch, upkeep. They reach the outside through ports only."""
