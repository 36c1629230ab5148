"""Reports of an assessment: one file for each format, found by registry.py. Everything here is text in memory."""
