"""Resolves references to secrets: environment, file, command, prompt, Ansible Vault. Each at most once per run."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from patchctl.connect.vault import VaultError, decrypt_vault, is_vault
from patchctl.model.errors import CredentialsError
from patchctl.model.hosts import SecretRef
from patchctl.model.redaction import Redactor

COMMAND_TIMEOUT = 60.0
"""Seconds a secret's command may take (it may ask a password manager in the cloud, not a person)."""


class Secrets:
    """A SecretResolver. Thread-safe; the same reference is resolved once, and its failure remembered too.

    `redactor` learns every secret that was resolved, so that texts on their way out can be cleaned of them.
    """

    def __init__(
        self,
        prompt: Callable[[str], str] | None = None,
        vault_password: SecretRef | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """`prompt` asks a person for the labelled secret; None = nobody is there to ask."""
        self._prompt = prompt
        self._vault_password = vault_password
        self.redactor = redactor or Redactor()
        self._guard = threading.Lock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._known: dict[tuple[str, str], str | CredentialsError] = {}

    def __repr__(self) -> str:
        return f"Secrets({len(self._known)} resolved)"

    def __call__(self, reference: SecretRef) -> str:
        """Return the secret. Raise CredentialsError naming where the reference was written."""
        key = (reference.scheme, reference.value)
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # a hundred hosts with one password ask for it once
            if key not in self._known:
                try:
                    secret = self._resolve(reference)
                except CredentialsError as error:
                    self._known[key] = error
                else:
                    self.redactor.add(secret)
                    self._known[key] = secret
            found = self._known[key]
        if isinstance(found, CredentialsError):
            raise CredentialsError(found.code, found.message, found.hint)
        return found

    def _resolve(self, reference: SecretRef) -> str:
        resolve = {
            "env": self._from_environment, "file": self._from_file, "cmd": self._from_command,
            "prompt": self._from_prompt, "vault": self._from_vault, "vault-file": self._from_vault_file,
            "plain": self._from_text,
        }.get(reference.scheme)
        if resolve is None:
            raise _failure(reference, "secret-scheme", "not a reference to a secret",  # it may be the secret itself
                           "use env:, file:, cmd:, prompt:, vault or vault-file:")
        secret = resolve(reference)
        if not secret:  # sent all the same, it would count as a wrong password on every host
            where = "the answer" if reference.scheme == "prompt" else f"{reference.scheme}: the secret"
            raise _failure(reference, "secret-missing", f"{where} is empty", "give it a value, or remove the key")
        return secret

    def _from_environment(self, reference: SecretRef) -> str:
        value = os.environ.get(reference.value)
        if value is None:
            raise _failure(reference, "secret-missing", f"the environment variable {reference.value} is not set",
                           f"export {reference.value}, or use another source")
        return value

    def _from_file(self, reference: SecretRef) -> str:
        path = Path(reference.value).expanduser()
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise _failure(reference, "secret-missing", f"{path}: {reason}", "check path and rights of the file") \
                from None
        if is_vault(text):
            return self._decrypt(reference, text).rstrip("\r\n")
        return text.rstrip("\r\n")

    def _from_command(self, reference: SecretRef) -> str:
        try:
            argv = shlex.split(reference.value)
        except ValueError as error:
            raise _failure(reference, "secret-command", f"the command cannot be split into words: {error}",
                           "check its quotes") from None
        if not argv:
            raise _failure(reference, "secret-command", "the command is empty", "")
        name = argv[0]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise _failure(reference, "secret-command", f"{name} gave no answer within {COMMAND_TIMEOUT:g} s",
                           "it must not ask anything: unlock the password store before") from None
        except OSError as error:
            raise _failure(reference, "secret-command", f"{name}: {error.strerror}", "is it installed?") from None
        if done.returncode:
            # its stderr may hold the secret; only its first line is shown, and what is known is cleaned from it
            said = self.redactor.clean(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0][:200])
            raise _failure(reference, "secret-command", f"{name} failed with exit {done.returncode}: {said}",
                           "run the command by hand")
        try:
            secret = done.stdout.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise _failure(reference, "secret-command", f"{name} printed something that is not UTF-8 text", "") \
                from None
        if not secret:
            raise _failure(reference, "secret-missing", f"{name} printed nothing", "run the command by hand")
        return secret

    def _from_prompt(self, reference: SecretRef) -> str:
        if self._prompt is None:
            raise _failure(reference, "secret-prompt", f"nobody is there to ask for {reference.value!r}",
                           "run it in a terminal, or use env:, file: or cmd: for unattended runs")
        return self._prompt(reference.value)

    def _from_vault(self, reference: SecretRef) -> str:
        return self._decrypt(reference, reference.value)

    def _from_vault_file(self, reference: SecretRef) -> str:
        name, _, variable = reference.value.rpartition("#")
        path = Path(name or variable).expanduser()
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise _failure(reference, "secret-missing", f"{path} cannot be read", "check path and rights of the file") \
                from None
        if is_vault(text):
            text = self._decrypt(reference, text)
        if not name:
            return text.rstrip("\r\n")
        return self._variable(reference, text, path, variable)

    def _variable(self, reference: SecretRef, text: str, path: Path, variable: str) -> str:
        import yaml

        class Loader(yaml.SafeLoader):
            """Reads values tagged !vault as their text."""

        Loader.add_constructor("!vault", lambda loader, node: str(node.value))
        try:
            data = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader with one more plain tag
        except yaml.YAMLError:
            raise _failure(reference, "secret-format", f"{path} holds no valid YAML", "") from None
        if not isinstance(data, dict) or variable not in data:
            raise _failure(reference, "secret-missing", f"{path} has no variable {variable}", "check its spelling")
        value = data[variable]
        if isinstance(value, str) and is_vault(value):
            return self._decrypt(reference, value)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise _failure(reference, "secret-format", f"{variable} in {path} is not text", "put it in quotes")
        return str(value)

    def _from_text(self, reference: SecretRef) -> str:
        return reference.value

    def _decrypt(self, reference: SecretRef, text: str) -> str:
        if self._vault_password is None:
            raise _failure(reference, "vault-password-missing", "a vaulted value, and no vault password is configured",
                           "set vault_password: in patchctl.yaml, or PATCHCTL_VAULT_PASSWORD=file:PATH")
        try:
            return decrypt_vault(text, self(self._vault_password))
        except VaultError as error:
            raise _failure(reference, "vault-decrypt", str(error), "check the vault password's source") from None


def _failure(reference: SecretRef, code: str, message: str, hint: str) -> CredentialsError:
    return CredentialsError(code, f"{reference.origin}: {message}" if reference.origin else message, hint)
