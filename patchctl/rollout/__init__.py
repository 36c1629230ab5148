"""Plans, rings, gates, windows, journal, decisions, diagnosis (pure)."""
