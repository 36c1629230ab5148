"""Our own baselines: checks bound to their arguments, combined, and judged against snapshots (pure)."""
