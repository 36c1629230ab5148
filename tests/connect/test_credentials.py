"""Secrets by reference: every source, resolved once, errors that name the place and never the secret."""

from __future__ import annotations

import base64
import shutil
import subprocess
import threading
import traceback
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.connect.credentials import Secrets
from patchctl.connect.vault import VaultError, decrypt_vault
from patchctl.model.errors import CredentialsError
from patchctl.model.hosts import SecretRef
from patchctl.model.redaction import MASK, Redactor

VAULT = Path(__file__).parent / "vault"
PASSWORD = SecretRef("file", str(VAULT / "password"))
ORIGIN = "inventories/hosts.yaml:7:12"


def inline() -> str:
    lines = (VAULT / "inline.yml").read_text().splitlines()[1:]
    return "\n".join(line.strip() for line in lines)


def fails(secrets: Secrets, scheme: str, value: str) -> CredentialsError:
    with pytest.raises(CredentialsError) as caught:
        secrets(SecretRef(scheme, value, ORIGIN))
    assert caught.value.message.startswith(ORIGIN)
    return caught.value


def test_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCH_SUDO", "from env ")
    (tmp_path / "secret").write_text("from file\n")
    secrets = Secrets(lambda label: f"typed for {label}", PASSWORD)
    assert secrets(SecretRef("env", "PATCH_SUDO")) == "from env "
    assert secrets(SecretRef("file", f"{tmp_path}/secret")) == "from file"
    assert secrets(SecretRef("cmd", "printf '%s\\n' 'from \"cmd\" $HOME'")) == 'from "cmd" $HOME'
    assert secrets(SecretRef("prompt", "sudo of web")) == "typed for sudo of web"
    assert secrets(SecretRef("plain", "as it is")) == "as it is"
    assert secrets(SecretRef("vault", inline())) == "ünï cöde ✓ and $ quotes '\""
    for name in ("whole.yml", "labelled.yml"):
        assert secrets(SecretRef("vault-file", f"{VAULT / name}#hush")) == "two words"
        assert secrets(SecretRef("vault-file", f"{VAULT / name}#become_password")) == "labpw"
    assert secrets(SecretRef("vault-file", f"{VAULT / 'inline.yml'}#secret")).startswith("ünï")


def test_each_reference_is_resolved_once_also_by_many_threads(tmp_path: Path) -> None:
    script = tmp_path / "ask"
    script.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\nsleep 0.1\necho hush\n")
    script.chmod(0o755)
    secrets, found = Secrets(), []
    threads = [threading.Thread(target=lambda: found.append(secrets(SecretRef("cmd", str(script))))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["hush"] * 20
    assert (tmp_path / "log").read_text().count("asked") == 1


def test_failures_have_codes_and_name_the_place(tmp_path: Path) -> None:
    secrets = Secrets(None, PASSWORD)
    for scheme, value, code in (
        ("env", "NO_SUCH_VARIABLE", "secret-missing"), ("file", f"{tmp_path}/none", "secret-missing"),
        ("cmd", "no-such-program x", "secret-command"), ("cmd", "false", "secret-command"),
        ("cmd", "true", "secret-missing"), ("cmd", "echo 'open", "secret-command"), ("cmd", "", "secret-command"),
        ("prompt", "anything", "secret-prompt"), ("telepathy", "x", "secret-scheme"),
        ("vault-file", f"{VAULT}/whole.yml#nothing", "secret-missing"), ("vault", "$ANSIBLE_VAULT;1.1;AES256\n00",
                                                                         "vault-decrypt"),
    ):
        assert fails(secrets, scheme, value).code == code
    assert fails(Secrets(), "vault", inline()).code == "vault-password-missing"
    assert fails(Secrets(None, SecretRef("plain", "wrong")), "vault", inline()).code == "vault-decrypt"


def test_an_empty_secret_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that CI left empty would be sent as a wrong password to every host, and lock the account there."""
    monkeypatch.setenv("PATCH_SUDO", "")
    (tmp_path / "secret").write_text("\n")
    (tmp_path / "vars.yml").write_text("sudo: ''\n")
    secrets = Secrets(lambda label: "")
    for scheme, value in (("env", "PATCH_SUDO"), ("file", f"{tmp_path}/secret"), ("cmd", "printf ''"),
                          ("prompt", "sudo"), ("vault-file", f"{tmp_path}/vars.yml#sudo")):
        assert fails(secrets, scheme, value).code == "secret-missing"


def test_the_secret_is_in_no_message_repr_or_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "c4n4ry-s3cret"
    monkeypatch.setenv("VAULT_PW", canary)
    secrets = Secrets(None, SecretRef("env", "VAULT_PW"))
    secrets(SecretRef("env", "VAULT_PW"))
    texts = [repr(secrets), repr(secrets.redactor), repr(SecretRef("plain", canary)), repr(SecretRef("cmd", canary))]
    for scheme, value in (("vault", inline()), ("cmd", f"sh -c 'echo {canary} >&2; exit 1'")):
        try:
            secrets(SecretRef(scheme, value, ORIGIN))
        except CredentialsError:
            texts.append(traceback.format_exc())
    assert len(texts) == 6
    assert not [text for text in texts if canary in text]


@pytest.mark.skipif(shutil.which("ansible-vault") is None, reason="ansible-vault is not installed here")
def test_decrypts_what_ansible_vault_encrypts_now(tmp_path: Path) -> None:
    for text in ("", "x", "äöü " * 1000, "line\nline\n"):
        plain, coded = tmp_path / "plain", tmp_path / "coded"
        plain.write_text(text)
        subprocess.run(["ansible-vault", "encrypt", "--vault-password-file", VAULT / "password", "--output", coded,
                        plain], check=True, capture_output=True)
        assert decrypt_vault(coded.read_text(), "swordfish") == text


@given(st.data())
def test_a_damaged_vault_text_is_refused_never_read(data: st.DataObject) -> None:
    text = inline()
    index = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.sampled_from("0123456789abcdef;$"))
    changed = text[:index] + new + text[index + 1:]
    if changed == text or text[index] in " \n":
        return
    try:
        assert decrypt_vault(changed, "swordfish") == decrypt_vault(text, "swordfish")  # e.g. another vault label
    except VaultError as error:
        assert "ünï" not in str(error)


@given(st.text(min_size=4, max_size=40).filter(lambda s: s.strip() and len(s.strip()) >= 4), st.binary(max_size=5),
       st.binary(max_size=5))
def test_redaction_finds_every_disguise(secret: str, before: bytes, after: bytes) -> None:
    redactor = Redactor()
    redactor.add(secret)
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) != len(secret.encode("utf-8", "ignore")):
        return
    quoted = urllib.parse.quote(secret, safe="")
    for text in (secret, quoted, base64.b64encode(raw).decode(), base64.b64encode(secret.encode("utf-16-le")).decode()):
        cleaned = redactor.clean(f"x={text}&y")
        assert MASK in cleaned
        assert text not in cleaned
    if len(raw) >= 9:
        inside = base64.b64encode(before + raw + after).decode()
        assert redactor.clean(inside) != inside


def test_short_secrets_do_not_blot_out_texts() -> None:
    redactor = Redactor()
    redactor.add("a")
    redactor.add("")
    assert redactor.clean("a cat") == "a cat"
