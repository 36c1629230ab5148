"""Kinds of baseline content: one module or package each, found by registry.py."""
