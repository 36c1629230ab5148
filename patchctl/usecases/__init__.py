"""The imperative shell: one file per verb; brings rooms and adapters together."""
