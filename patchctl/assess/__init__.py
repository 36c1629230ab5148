"""Baselines, checks, verdicts, drift (pure)."""
