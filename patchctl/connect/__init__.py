"""Transports, host keys, credentials, fan-out with deadlines (adapter)."""
