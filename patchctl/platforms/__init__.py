"""Package managers and operating systems: probes, parsers, scripts, failure signatures (pure; discovered, never listed)."""
