"""Sources of facts: each file compiles questions into few probes and reads the answers (`SOURCE`)."""
