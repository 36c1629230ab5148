"""Version comparison, one file per scheme."""
