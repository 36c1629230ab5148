"""Probes to one script, output to evidence to a Snapshot; the host runner's scripts (pure)."""
