"""The peer itself, driven by the clients it has to satisfy (pywinrm, and pypsrp in its cmd-shell mode)."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from winrm.exceptions import InvalidCredentialsError, WinRMTransportError, WSManFaultError
from winrm.protocol import Protocol

from tests.winrm.peers import ADMIN, PASSWORD, Peer, StartPeers, shared_wine
from tests.winrm.powershell import Answer

pytestmark = pytest.mark.usefixtures("wine")


def client(peer: Peer, auth: str = "ntlm", *, tls: bool = False, **settings: Any) -> Protocol:
    port = peer.tls_port if tls else peer.port
    return Protocol(
        f"{'https' if tls else 'http'}://{peer.address}:{port}/wsman", transport=auth,  # type: ignore[arg-type]
        **{"username": ADMIN, "password": PASSWORD, "proxy": None, "ca_trust_path": str(peer.authority.file),
           "message_encryption": "never" if tls else "always", **settings})


def run(protocol: Protocol, line: str, stdin: bytes | None = None) -> tuple[bytes, bytes, int]:
    shell = protocol.open_shell(codepage=65001)
    try:
        command = protocol.run_command(shell, line)
        if stdin is not None:
            protocol.send_command_input(shell, command, stdin, end=True)
        answer = protocol.get_command_output(shell, command)
        protocol.cleanup_command(shell, command)
        return answer
    finally:
        protocol.close_shell(shell)


def test_ntlm_with_encryption_runs_real_commands_with_whole_exit_codes(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    out, _, rc = run(client(peer), "echo hello & exit 3010")
    assert (out.strip(), rc) == (b"hello", 3010)
    assert peer.executions == {"echo hello & exit 3010": 1}
    assert peer.shells == ()


def test_basic_goes_over_https_and_never_over_http(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers(cmd={"ver": ("Windows", "", 0)})
    assert run(client(peer, "basic", tls=True), "ver") == (b"Windows", b"", 0)
    with pytest.raises(InvalidCredentialsError):
        client(peer, "basic", message_encryption="never").open_shell()
    with pytest.raises(WinRMTransportError) as caught:  # unencrypted messages over HTTP are refused after the login
        client(peer, message_encryption="never").open_shell()
    assert caught.value.code == 500


def test_ntlm_over_https_binds_to_the_certificate(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers(cmd={"ver": ("Windows", "", 0)})
    assert run(client(peer, tls=True), "ver")[2] == 0


def test_wrong_passwords_and_strangers_certificates_are_refused(winrm_peers: StartPeers, tmp_path: Path) -> None:
    from tests.winrm.certificates import Authority

    (peer,) = winrm_peers(cmd={})
    for tls, auth in ((False, "ntlm"), (True, "basic")):
        with pytest.raises(InvalidCredentialsError):
            client(peer, auth, tls=tls, password="wrong").open_shell()
    pem, key = Authority(tmp_path / "other").client(ADMIN)
    with pytest.raises(requests.exceptions.ConnectionError):
        client(peer, "certificate", tls=True, cert_pem=str(pem), cert_key_pem=str(key)).open_shell()


def test_client_certificates_log_in(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers(cmd={"ver": ("Windows", "", 0)})
    pem, key = peer.authority.client(ADMIN)
    protocol = client(peer, "certificate", tls=True, cert_pem=str(pem), cert_key_pem=str(key), password=None)
    assert run(protocol, "ver")[2] == 0


def test_credssp_logs_in_and_encrypts(winrm_peers: StartPeers) -> None:
    pytest.importorskip("requests_credssp")
    (peer,) = winrm_peers(cmd={"ver": ("W" * 40000, "", 0)}, auth=("credssp",))
    assert run(client(peer, "credssp"), "ver") == (b"W" * 40000, b"", 0)


def test_shells_have_a_quota_and_lost_ones_a_fault(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers(cmd={})
    peer.host.max_shells = 2
    protocol = client(peer)
    first = protocol.open_shell()
    protocol.open_shell()
    with pytest.raises(WSManFaultError) as caught:
        protocol.open_shell()
    assert caught.value.wsman_fault_code == 2150859173
    protocol.close_shell(first, close_session=False)
    with pytest.raises(WSManFaultError) as caught:
        protocol.run_command(first, "ver")
    assert caught.value.wsman_fault_code == 2150858843
    assert len(peer.shells) == 1


def test_registry_services_and_standard_input_are_wines(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    key = rf"HKCU\Software\patchctl-test-{uuid.uuid4()}"
    protocol = client(peer)
    assert run(protocol, f'reg add "{key}" /v Answer /t REG_DWORD /d 42 /f')[2] == 0
    assert b"0x2a" in run(protocol, f'reg query "{key}" /v Answer')[0]
    assert run(protocol, f'reg delete "{key}" /f')[2] == 0
    assert run(protocol, f'reg query "{key}"')[2] == 1
    assert b"STATE" in run(protocol, "sc query Eventlog")[0].upper()
    assert b"typed" in run(protocol, "set /p patchctl= & set patchctl", b"typed\r\n")[0]


@pytest.mark.parametrize("line", [
    "dism /online /get-packages", "schtasks /query", r"C:\windows\system32\systeminfo.exe", "echo a & tasklist",
    'cmd /c "shutdown /r"', "powershell -Command 1", "reg query HKLM | findstr x",
])
def test_wines_silent_stubs_are_failures(winrm_peers: StartPeers, line: str) -> None:
    (peer,) = winrm_peers()
    _, err, rc = run(client(peer), line)
    assert rc == 9009
    assert b"not run by this peer" in err


def test_an_msi_is_installed_and_removed_for_real(winrm_peers: StartPeers, tmp_path: Path) -> None:
    (peer,) = winrm_peers()
    product = str(uuid.uuid4()).upper()
    source = tmp_path / "demo.wxs"
    (tmp_path / "demo.txt").write_text("demo")
    source.write_text(f"""<?xml version="1.0"?><Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
<Product Id="{{{product}}}" Name="patchctl demo" Version="1.2.3" Manufacturer="x" Language="1033"
 UpgradeCode="{{{str(uuid.uuid4()).upper()}}}"><Package InstallerVersion="200" Compressed="yes"/>
<Media Id="1" Cabinet="a.cab" EmbedCab="yes"/><Directory Id="TARGETDIR" Name="SourceDir">
<Directory Id="ProgramFiles64Folder"><Directory Id="INSTALLDIR" Name="patchctl-demo-{product[:8]}">
<Component Id="C" Guid="{{{str(uuid.uuid4()).upper()}}}"><File Id="F" Source="demo.txt" KeyPath="yes"/>
</Component></Directory></Directory></Directory><Feature Id="All" Level="1"><ComponentRef Id="C"/></Feature>
</Product></Wix>""")
    subprocess.run(["wixl", "-a", "x64", "-o", str(tmp_path / "demo.msi"), str(source)], check=True, cwd=tmp_path)
    protocol = client(peer)
    msi = shared_wine().windows_path(tmp_path / "demo.msi")
    uninstall = rf'reg query "HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall\{{{product}}}" /v DisplayVersion'
    assert run(protocol, uninstall)[2] == 1
    assert run(protocol, f"msiexec /i {msi} /qn /norestart")[2] == 0
    assert b"1.2.3" in run(protocol, uninstall)[0]
    assert run(protocol, f"msiexec /x {{{product}}} /qn /norestart")[2] == 0
    assert run(protocol, uninstall)[2] == 1


def test_unknown_powershell_fails_and_is_listed(winrm_peers: StartPeers) -> None:
    import base64

    (peer,) = winrm_peers()
    peer.powershell({"Get-Date": Answer("today\r\n", errors=("a warning",), rc=7)})

    def encoded(text: str) -> str:
        return "powershell -NoProfile -EncodedCommand " + base64.b64encode(text.encode("utf-16-le")).decode()

    out, err, rc = run(client(peer), encoded("Get-Date"))
    assert (out, rc) == (b"today\r\n", 7)
    assert err.startswith(b"#< CLIXML")
    assert run(client(peer), encoded("Remove-Item C:"))[2] == 255
    assert peer.unknown == ["Remove-Item C:"]
    assert b"too long" in run(client(peer), encoded("x" * 3100))[1]


def test_answers_identify_without_a_login(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers(cmd={})
    connection = http.client.HTTPSConnection(
        peer.address, peer.tls_port, context=ssl.create_default_context(cafile=str(peer.authority.file)))
    connection.request("POST", "/wsman", "<x/>", {"WSMANIDENTIFY": "unauthenticated"})
    assert b"Microsoft Corporation" in connection.getresponse().read()
    connection.close()
    assert peer.credentials_seen == 0


def test_pypsrp_runs_commands_in_its_shell_mode(winrm_peers: StartPeers) -> None:
    pytest.importorskip("pypsrp")
    from pypsrp.shell import Process, WinRS
    from pypsrp.wsman import WSMan

    (peer,) = winrm_peers(cmd={"ver": ("Windows", "trouble", 5)})
    connection = WSMan(peer.address, port=peer.port, ssl=False, username=ADMIN, password=PASSWORD, auth="ntlm",
                       encryption="always", no_proxy=True)
    with connection, WinRS(connection, codepage=65001) as shell:
        process = Process(shell, "ver")
        process.invoke()
        process.signal("terminate")
        assert (process.stdout, process.stderr, process.rc) == (b"Windows", b"trouble", 5)
    assert peer.shells == ()
