"""The life of an alert (pure)."""
