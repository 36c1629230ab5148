"""Journal, decisions, gates, diagnosis: pure functions, tested without the loop."""
