"""Artefacts: download cache and transfer (adapter)."""
