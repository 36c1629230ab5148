"""Merging sightings into devices and comparing them with the inventory (pure)."""
