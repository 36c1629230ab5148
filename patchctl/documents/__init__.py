"""YAML in: loader with marks, inventories, policies, baselines, configuration (adapter)."""
