"""Fake hosts that answer collection scripts in the words of the protocol (patchctl/collect/script.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping


def answer_script(script: str, outputs: Mapping[str, str]) -> bytes:
    """Given a compiled script and the output of each probe, return what the host would print; others do not apply."""
    found = re.search(r"^N=([0-9a-f]{16,64})$", script, re.MULTILINE)
    assert found is not None
    nonce = found[1]
    asked = re.findall(r"^pc_probe ([a-z0-9._-]+) ", script, re.MULTILINE)
    lines = [f"{nonce}#BEGIN 1 root ."]
    for probe in asked:
        text = outputs.get(probe)
        parts = text.split("\n") if text else []
        size = len(text.encode()) + 1 if text else 0
        lines.append(f"{nonce}+{probe} .")
        lines += [f"{nonce}={probe} {part}" for part in parts]
        lines.append(f"{nonce}>{probe} {'na' if text is None else 0} {size} {len(parts)} 0 .")
    lines.append(f"{nonce}#END {len(asked)} .")
    return "\n".join(lines).encode() + b"\n"
