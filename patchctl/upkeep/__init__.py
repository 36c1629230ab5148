"""Schedules, cycles, retention (pure)."""
