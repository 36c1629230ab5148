"""Check types of native baselines: one file each, found by registry.py."""
