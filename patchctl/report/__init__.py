"""Metrics and documents for people: html, csv, sarif, junit (pure: text in memory)."""
