"""The floor to compare with: paramiko and nothing else, one connection per host, a script in, its output out.

bare.py KEY KNOWN_HOSTS USER SCRIPT THREADS ADDRESS:PORT...   Prints the bytes that came back, and how many lines
of them begin with FAIL.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko


def main() -> int:
    key_file, known_hosts, user, script_file, threads, *hosts = sys.argv[1:]
    key = paramiko.Ed25519Key.from_private_key_file(key_file)
    script = Path(script_file).read_bytes()
    known = paramiko.HostKeys(known_hosts)

    def visit(host: str) -> bytes:
        address, _, port = host.rpartition(":")
        client = paramiko.SSHClient()
        client.get_host_keys().update(known)
        try:
            client.connect(address, int(port), user, pkey=key, look_for_keys=False, allow_agent=False, timeout=60,
                           banner_timeout=60, auth_timeout=60)
            stdin, stdout, _ = client.exec_command("sudo -n sh -s")
            stdin.write(script)
            stdin.channel.shutdown_write()
            found: bytes = stdout.read()
            return found
        finally:
            client.close()

    with ThreadPoolExecutor(int(threads)) as pool:
        outputs = list(pool.map(visit, hosts))
    sizes = [len(output) for output in outputs]
    failures = sum(line.startswith(b"FAIL ") for output in outputs for line in output.splitlines())
    print(len(sizes), "hosts", sum(sizes), "bytes, least", min(sizes), "and", failures, "lines of failures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
