"""Simulated WinRM hosts in a process of their own, so that their CPU counts for nobody.

python -m bench.winrm_host N FOLDER prints a JSON line with their addresses, ports and the login, then serves until its
standard input ends. Each is a peer of the tests (tests/winrm): real HTTP, NTLM and encrypted messages; PowerShell is
answered by the tests' model, whose registry answers are constant here.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

from tests.windows.paper import paper_host
from tests.winrm.fleet import answer
from tests.winrm.peers import ADMIN, PASSWORD, peers


def main() -> int:
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    with peers(folder, slot=63) as start:
        running = start(count)
        for peer in running:
            model = paper_host()
            peer.powershell(functools.partial(answer, model))
        print(json.dumps({"user": ADMIN, "password": PASSWORD, "hosts": [[p.address, p.port] for p in running]}),
              flush=True)
        sys.stdin.read()
        left = sum(len(peer.shells) for peer in running)
    print(f"{left} shells left open", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
