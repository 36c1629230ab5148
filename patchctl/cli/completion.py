"""patchctl completion: the shell's part of completing commands and options."""

from __future__ import annotations

import sys

import click

_HELP = """Print shell completion for bash, zsh or fish.

\b
bash: patchctl completion bash > ~/.local/share/bash-completion/completions/patchctl
zsh:  patchctl completion zsh > "${fpath[1]}/_patchctl"
fish: patchctl completion fish > ~/.config/fish/completions/patchctl.fish
"""


@click.command("completion", help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion of a shell."""
    from click.shell_completion import get_completion_class

    from patchctl.cli.main import main

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    sys.stdout.write(kind(main, {}, "patchctl", "_PATCHCTL_COMPLETE").source())
