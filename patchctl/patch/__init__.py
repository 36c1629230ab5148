"""Advisories, priorities, approvals, bundle manifests (pure)."""
