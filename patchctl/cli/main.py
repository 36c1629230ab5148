"""Entry point: the command group, loaded lazily so that `patchctl --help` starts fast, and the last error handler."""

from __future__ import annotations

import gc
import importlib
import os
import sys

import click

from patchctl import __version__

# name -> (group in --help, one line). The module is patchctl.cli.<name>, its click command `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("Start", "Make a project folder with a first inventory and policy"),
    "discover": ("Start", "Sweep networks for hosts and compare them with the inventory"),
    "trust": ("Start", "Show and accept host keys, many at once"),
    "inventory": ("Start", "List hosts, show one host's settings and where they come from"),
    "validate": ("Start", "Check inventories, policies and baselines without touching anything"),
    "scan": ("Observe", "Collect the state of hosts into snapshots"),
    "assess": ("Observe", "Judge hosts by baselines: native, SCAP, Wazuh SCA"),
    "baseline": ("Observe", "List baselines, show and explain their rules, run their own tests"),
    "drift": ("Observe", "What changed since the last assessment, a named state, or differs from peers"),
    "snapshot": ("Observe", "Name the latest assessed state of hosts, to compare with later"),
    "updates": ("Observe", "List pending updates and whether they are approved"),
    "status": ("Observe", "What runs, what is due, what waits for approval, who is unseen"),
    "history": ("Observe", "What happened to one host"),
    "plan": ("Patch", "Work out exactly what a policy would change, host by host"),
    "apply": ("Patch", "Carry out a plan, or plan and carry out a policy"),
    "remediate": ("Patch", "Repair findings of a baseline, ring by ring, and assess again"),
    "rollout": ("Patch", "Status, watch, pause, resume, abort, retry, approve, tick"),
    "rollback": ("Patch", "Take a rollout back: restore the versions its hosts had before"),
    "report": ("Prove", "Write reports of a rollout, or of an assessment: html, json, csv, arf, sarif ..."),
    "audit": ("Prove", "Verify the hash chain of everything that was recorded"),
    "state": ("Keep", "Size, prune and upgrade the store"),
    "config": ("Keep", "Show settings and where each one comes from"),
    "completion": ("Keep", "Print shell completion for bash, zsh or fish"),
}


class LazyGroup(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"patchctl.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " See patchctl --help."
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, (group, text) in COMMANDS.items():
            groups.setdefault(group, []).append((name, text))
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="patchctl")
def main() -> None:
    """Patch and prove fleets of Linux and Windows hosts, without agents."""


def start_lean() -> None:
    """Make the start cheap: the garbage collector's default takes a fifth of the time that libraries need to load."""
    # Classes and functions being loaded are no garbage, yet the default looks every 700. They are some 120,000 in all.
    gc.set_threshold(200_000)
    # paramiko tries to load invoke (a task runner with its own YAML and unittest.mock) for ssh_config's Match exec, and
    # goes on without it. It never reads ssh_config here: connect/ssh_config.py does.
    sys.modules.setdefault("invoke", None)  # type: ignore[arg-type]  # None = not to be found (import system, 5.3.1)


def run() -> None:
    """Run the command line and exit with the documented code; no traceback reaches a user unasked."""
    start_lean()
    from patchctl.cli.interrupts import stop_on_signals
    from patchctl.cli.streams import prepare_streams

    os.umask(os.umask(0o077) | 0o002)  # no file of ours is for everybody to write: settings may run commands
    prepare_streams()
    stop_on_signals()
    from patchctl.cli.redacting import CleanStream, RunSecrets

    secrets = RunSecrets()
    sys.stdout, sys.stderr = CleanStream(sys.stdout, secrets.clean), CleanStream(sys.stderr, secrets.clean)
    try:
        code = main.main(standalone_mode=False, obj=secrets)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last handler: it reports and exits, never hides
        from patchctl.cli.failure import report_failure

        code = report_failure(error, sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # a full disk: said already, and Python would try once more at its end and exit with 120
        sys.stdout.discard()
    gc.freeze()  # Python looks for garbage once more at its end: an eighth of a short run, for memory that goes anyway
    sys.exit(code if isinstance(code, int) else 0)
