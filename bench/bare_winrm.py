"""The floor to compare with: pywinrm and nothing else, one shell per host, a script in, its output out.

bare_winrm.py USER PASSWORD SCRIPT THREADS ADDRESS:PORT...   Prints how many hosts answered, and the bytes.
A script of this length does not fit into a command line, so it goes the way that patchctl's goes: by standard input.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from winrm.protocol import Protocol

from patchctl.connect.winrm_script import bootstrap, command_line, input_lines


def main() -> int:
    user, password, script_file, threads, *hosts = sys.argv[1:]
    script = Path(script_file).read_text()

    def visit(host: str) -> bytes:
        protocol = Protocol(f"http://{host}/wsman", transport="ntlm", username=user, password=password,
                            message_encryption="always", proxy=None, read_timeout_sec=300, operation_timeout_sec=200)
        shell = protocol.open_shell(codepage=65001)
        try:
            line = command_line(bootstrap("0" * 32, need_elevation=True, data=False))
            command = protocol.run_command(shell, line, console_mode_stdin=False)
            protocol.send_command_input(shell, command, b"".join(input_lines(script, ())), end=True)
            out, _, rc = protocol.get_command_output(shell, command)
            protocol.cleanup_command(shell, command)
            assert rc == 0
            return bytes(out)
        finally:
            protocol.close_shell(shell)

    with ThreadPoolExecutor(int(threads)) as pool:
        outputs = list(pool.map(visit, hosts))
    print(len(outputs), "hosts", sum(map(len, outputs)), "bytes, least", min(map(len, outputs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
