"""One file a dress; see tests/lab/dress.py."""
