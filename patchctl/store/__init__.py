"""The database: snapshots, journal, audit chain, leases (adapter)."""
