"""The tests. `tests/lab` boots real hosts for those that need some; see tests/lab/README.md."""
