"""The command line: one file per command; parse flags, call one use case, render, pick the exit code."""
