"""What was shown on real Windows: part -> SHA-256 of its text -> the capture that shows it.

Written by `python -m tests.windows.proof import RESULT.zip`, never by hand; a text that has changed since is unproven
again. usecases/windows_proof.py has the parts.
"""

from __future__ import annotations

from collections.abc import Mapping

PROVEN: Mapping[str, Mapping[str, str]] = {}
