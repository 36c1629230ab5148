"""A WS-Management peer for tests: what a Windows host's WinRM service says, with Wine behind it. See README.md."""
