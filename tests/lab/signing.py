"""Keys for the packages of dressed hosts."""

from __future__ import annotations

from pathlib import Path

from tests.lab.programs import run


def make_rsa_key(home: Path, name: str = "lab packages <lab@localhost>") -> None:
    """Make a key in a new gpg home, and its public half as public.asc. RSA: every rpm and pacman can read it."""
    home.mkdir(mode=0o700, parents=True)
    gpg(home, "--quick-generate-key", name, "rsa3072", "sign", "never")
    gpg(home, "--armor", "--output", home / "public.asc", "--export")


def gpg(home: Path, *arguments: object) -> None:
    """Run gpg in that home without asking anything; the agent it starts is ended again."""
    try:
        run("gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--passphrase", "", *arguments, timeout=120)
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all", timeout=30)
