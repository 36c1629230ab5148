"""patchctl snapshot: give the latest assessed state of hosts a name, to compare with later."""

from __future__ import annotations

import time

import click

from patchctl.cli.options import inventory_options, output_option, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit, emit_done
from patchctl.cli.visiting import fleet_of, settings_of
from patchctl.model.errors import UsageError


@click.group("snapshot")
def command() -> None:
    """Name recorded states of hosts; what has a name is never pruned."""


@command.command("tag")
@click.argument("tag")
@click.option("--reason", required=True, metavar="TEXT", callback=refuse_empty,
              help="What is special about this state.")
@inventory_options
@state_option
@output_option()
def tag(
    tag: str, reason: str, inventory: tuple[str, ...], limit: str | None, state: str | None, output: str
) -> int:  # fmt: skip
    """Call each host's latest assessed snapshot TAG, for `patchctl drift --against TAG`."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases.replay import end_of

    if end_of(tag) is not None or tag in ("last", "peers", "latest"):
        raise UsageError("bad-tag", f"{tag!r} means something else already", "choose a word, such as golden")
    settings = settings_of({"inventory": inventory, "state": state})
    names = [host.name for host in fleet_of(settings, limit).hosts]
    with open_store(settings.state) as store:
        chosen = store.assessments.tag(tag, names, time.time(), current_actor(), reason)
        if chosen:
            data = {"tag": tag, "hosts": chosen}
            store.record(current_actor(), "snapshots-tagged", data, reason)
    left = [name for name in names if name not in chosen]
    rows = [{"host": host, "snapshot": number} for host, number in chosen.items()]
    columns = (Column("host", "HOST"), Column("snapshot", "SNAPSHOT", right=True))
    footer = (f"{tag}: {len(chosen)} hosts" + (f"; never assessed: {', '.join(left)}" if left else ""),)
    whole = {"tag": tag, "hosts": rows, "never_assessed": left}
    emit(Document("patchctl/snapshot-tag/1", whole, [] if output == "table" else rows, columns, "hosts", footer),
         output)  # fmt: skip
    return 4 if left else 0


@command.command("list")
@state_option
@output_option()
def list_(state: str | None, output: str) -> None:
    """List the names given so far."""
    from patchctl.cli.when import local_time
    from patchctl.store.database import open_store

    with open_store(settings_of({"state": state}).state, writable=False) as store:
        tags = store.assessments.tags()
    rows = [{**one, "when": local_time(one["at"])} for one in tags]
    columns = (Column("tag", "TAG"), Column("hosts", "HOSTS", right=True), Column("when", "SET"),
               Column("actor", "BY"), Column("reason", "WHY"))  # fmt: skip
    emit(Document("patchctl/snapshot-list/1", {"tags": tags}, rows, columns, "tags"), output)


@command.command("untag")
@click.argument("tag")
@state_option
@output_option()
def untag(tag: str, state: str | None, output: str) -> None:
    """Take the name TAG away; its snapshots are pruned as others then."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store

    with open_store(settings_of({"state": state}).state) as store:
        count = store.assessments.untag(tag)
        if not count:
            raise UsageError("no-tag", f"there is no tag {tag!r}", "list them: patchctl snapshot list")
        store.record(current_actor(), "snapshots-untagged", {"tag": tag, "hosts": count})
    emit_done("patchctl/snapshot-untag/1", {"tag": tag, "hosts": count}, [f"{tag}: taken from {count} hosts"], output)
