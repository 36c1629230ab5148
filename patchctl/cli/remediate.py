"""patchctl remediate: repair findings of a baseline through the rollout engine, then assess again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import emit
from patchctl.cli.redacting import run_secrets
from patchctl.cli.visiting import prompt_for_secret, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from patchctl.assess.contract import Baseline
    from patchctl.documents.settings import Settings
    from patchctl.model.policy import Policy
    from patchctl.usecases.remediate import RemediateRequest


@click.command("remediate")
@click.option("--baseline", "references", multiple=True, metavar="NAME|FILE[#PROFILE]",
              help="Whose findings to repair: a name below baselines/, or a file; repeatable.")
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Only these rules (ID or pattern); repeatable.")
@click.option("--severity", type=click.Choice(["info", "low", "medium", "high", "critical"]),
              help="Only findings of this severity and above.")
@click.option("--policy", metavar="NAME|FILE",
              help="Take hosts, rings, windows, gates and limits from this policy. [default: one ring, any time]")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Replace a parameter's value; repeatable.")
@click.option("--tailoring", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Tailoring file that changes the profile (SCAP).")
@click.option("--content-fixes", is_flag=True,
              help="Use the shell scripts that SCAP content carries; what they change cannot be foretold.")
@click.option("--include-waived", is_flag=True,
              help="Repair waived findings too; without it they are listed and left alone.")
@click.option("--confirm-within", "confirm", metavar="DURATION",
              help="How long a host waits for a new login after a fix of the way in before it takes it back, "
                   "30s to 1h. [default: limits.confirm of the policy, 3m]")
@click.option("--from-snapshot", "recorded", is_flag=False, flag_value="latest", default=None,
              metavar="[DATE|RUN|TAG]", help="Take the findings of recorded snapshots; then no differences are shown.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the plan for `patchctl apply FILE`, change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Leave the terminal: a process of its own carries the rollout on.")
@click.option("--override-window", is_flag=True, help="Start now, whatever the windows say; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Recorded with the rollout (a ticket, an incident).")
@click.option("--check", is_flag=True, help="Show what would be changed; change and record nothing.")
@inventory_options
@state_option
@connection_options
@output_option()
@quiet_options
def command(
    references: tuple[str, ...], rules: tuple[str, ...], severity: str | None, policy: str | None,
    values: tuple[str, ...], tailoring: Path | None, content_fixes: bool, include_waived: bool,
    confirm: str | None, recorded: str | None, out: Path | None,
    yes: bool, detach: bool, override_window: bool, reason: str, check: bool, inventory: tuple[str, ...],
    limit: str | None, state: str | None, forks: int | None, timeout: float | None, output: str, quiet: bool,
    verbose: int,
) -> int:  # fmt: skip
    """Repair what a baseline finds wrong, ring by ring, and prove it by assessing again.

    Shows what changes on each host, from what to what, and asks. What is changed is put aside on the host before. A
    fix after which its rule still fails is a failed host. Findings that are unknown or without a remediation are
    listed and left alone, and so are waived ones without --include-waived.
    """
    if not references:
        raise click.UsageError("name whose findings to repair: --baseline NAME or FILE")
    if override_window and not reason:
        raise click.UsageError("--override-window needs --reason")
    within = _read_confirm(confirm) if confirm is not None else None
    from patchctl.cli.apply import carry_out
    from patchctl.cli.apply import confirm as ask_for_yes
    from patchctl.cli.assess import read_parameters
    from patchctl.cli.fixes import describe_fixes
    from patchctl.cli.progress import make_observer
    from patchctl.store.database import open_store
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.apply import exit_code_without_work, outline_plan
    from patchctl.usecases.baselines import load_baselines
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.plan import write_plan_file
    from patchctl.usecases.remediate import make_fix_plan

    settings = settings_of({"inventory": inventory, "state": state, "forks": forks, "timeout": timeout})
    parameters = read_parameters(values)
    baselines = load_baselines(
        references, settings.baselines, tailoring=tailoring, parameters=parameters, write=not check
    )
    request = _request(
        settings, baselines, references, policy, rules=rules, severity=severity or "", limit=limit or "",
        recorded=recorded or "", include_waived=include_waived, within=within, content_fixes=content_fixes,
        parameters=parameters, tailoring=tailoring, timeout=settings.timeout,
    )  # fmt: skip
    observer = make_observer(quiet, verbose, steps=True)
    redactor = run_secrets().redactor()
    with open_store(settings.state, writable=not check) as store:
        with open_connections(settings, request.inventory, prompt_for_secret(), redactor=redactor) as connections:
            plan = make_fix_plan(
                request, store.redacting(redactor.clean), connections, SystemClock(), observer, save=not check
            )
        if out is not None and not check:
            write_plan_file(out, plan)
        idle = not outline_plan(plan).hosts
        code = exit_code_without_work(plan) if idle and not check else 0
        shown = describe_fixes(plan, str(out) if out is not None and not check else "")
        if check or idle or out is not None:
            if not quiet or code:
                emit(shown, output)
            return code
        if not quiet or not yes:
            emit(shown, "table", to_stderr=True)
        ask_for_yes(plan, yes)
        return carry_out(
            plan, request.inventory, settings, store, observer, reason=reason, override=override_window,
            detach=detach, output=output, quiet=quiet,
        )  # fmt: skip


def _request(
    settings: Settings, baselines: Sequence[Baseline], references: Sequence[str], policy: str | None, *,
    rules: Sequence[str], severity: str, limit: str, recorded: str, include_waived: bool, within: float | None,
    content_fixes: bool,
    parameters: Mapping[str, str], tailoring: Path | None, timeout: float | None,
) -> RemediateRequest:  # fmt: skip
    from msgspec.structs import replace

    from patchctl.cli.actor import current_actor
    from patchctl.documents.inventories import load_inventory
    from patchctl.documents.waivers import load_waivers
    from patchctl.usecases.access import expand_limit
    from patchctl.usecases.plan import controller_names, find_policy
    from patchctl.usecases.remediate import RemediateRequest
    from patchctl.usecases.waivers import waiver_members

    chosen = find_policy(policy, settings) if policy else _one_ring(baselines)
    if within is not None:
        chosen = replace(chosen, limits=replace(chosen.limits, confirm=within))
    fleet = load_inventory(settings.inventory)
    waivers = load_waivers(settings.baselines, settings.max_waiver)
    return RemediateRequest(
        policy=chosen, inventory=fleet,
        baselines=baselines, references=references, folder=settings.baselines, actor=current_actor(), waivers=waivers,
        members=waiver_members(waivers, fleet), rules=rules, severity=severity, limit=expand_limit(limit),
        recorded=recorded, include_waived=include_waived, content_fixes=content_fixes, parameters=parameters,
        tailoring=tailoring, forks=settings.forks, timeout=timeout, controllers=controller_names(),
    )  # fmt: skip


def _read_confirm(text: str) -> float:
    """Read --confirm-within. Raise click.UsageError."""
    from patchctl.model.policy import CONFIRM_RANGE
    from patchctl.model.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--confirm-within: {error}") from error
    if not CONFIRM_RANGE[0] <= seconds <= CONFIRM_RANGE[1]:
        raise click.UsageError(f"--confirm-within {text}: between 30s and 1h")
    return seconds


def _one_ring(baselines: Sequence[Baseline]) -> Policy:
    """Return what counts without --policy: all hosts, one ring, any time, the limits that a policy has by default."""
    from patchctl.model.policy import Policy

    return Policy(f"fix-{baselines[0].name}")
