"""Ctrl-C during a sweep: what answered so far is shown, and the output says that the rest was not asked."""

import json
import signal
import socket
import subprocess
import sys
import threading

BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"


def answer_with_a_banner(server):
    """Greet each caller as an SSH server does, until the server is closed."""
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        with caller:
            caller.sendall(BANNER)


def test_ctrl_c_shows_what_answered_so_far(tmp_path):
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/hosts.yaml").write_text("hosts:\n  web1: {address: 127.0.0.190}\n")
    with socket.create_server(("127.0.0.65", 0)) as server:
        threading.Thread(target=answer_with_a_banner, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        words = ["--net", "127.0.0.64/26", "--port", str(port), "--rate", "2", "--no-names", "-v", "-o", "json"]
        running = subprocess.Popen(
            [sys.executable, "-m", "patchctl", "discover", *words], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as a shell starts programs
        )
        try:
            heard = []
            for line in running.stderr:
                heard.append(line)
                if "127.0.0.65" in line:
                    break
            running.send_signal(signal.SIGINT)
            out, rest = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130, (heard, rest)
    shown = json.loads(out)
    assert shown["complete"] is False
    assert [(d["address"], d["state"]) for d in shown["devices"]] == [("127.0.0.65", "unmanaged")]
