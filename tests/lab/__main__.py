"""The lab on the command line: `python3 -m tests.lab --help`. Hosts stay until `down`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time

from tests.lab import slots
from tests.lab.base import get_base
from tests.lab.faults import FAULTS
from tests.lab.kernel import cgroup_processes
from tests.lab.lab import Lab
from tests.lab.machine import install_needs, lab_folder, why_not
from tests.lab.programs import LabError, say


def list_slots() -> None:
    """Print the slots that have hosts, with the process that holds each."""
    for path in sorted(slots.RUN.glob("*.folder")):
        number = int(path.stem)
        free = slots.take(number)
        state = "idle" if free else f"in use by process {slots.holder(number)}"
        if free:
            free.free()
        print(f"slot {number}: {len(cgroup_processes(f'patchctl-lab/{number}'))} processes, {state}")


def sweep() -> None:
    """Clear what dead sessions left, the command line's own slots excepted."""
    for number in slots.SESSIONS:
        if slot := slots.take(number):
            if slot.left_over():
                slot.clear()
                print(f"slot {number}: cleared")
            slot.free()


def remove() -> None:
    """Clear every slot, and delete the base and everything else in the lab's folder."""
    for path in sorted(slots.RUN.glob("*.folder")):
        slot = slots.take(int(path.stem))
        if slot is None:
            raise LabError(f"lab slot {path.stem} is in use by process {slots.holder(int(path.stem))}")
        slot.clear()
        slot.free()
    shutil.rmtree(lab_folder(), ignore_errors=True)


def act(lab: Lab, args: argparse.Namespace) -> int:
    """Carry out one command on the lab of this slot and return the exit code."""
    if args.command == "up":
        start = time.monotonic()
        fresh = lab.up(args.count, names=args.names, live=args.live, dress=args.dress)
        print(f"{len(fresh)} hosts up in {time.monotonic() - start:.1f} s: {', '.join(h.name for h in fresh)}")
    elif args.command == "down":
        if args.hosts:
            lab.down(*(lab.host(name) for name in args.hosts))
        else:
            lab.close()
    elif args.command == "list":
        for host in lab.hosts:
            print(host.name, host.address, host.port, "up" if host.running() else "off")
    elif args.command == "inventory":
        print(lab.inventory_ini(user=args.user) if args.ansible else lab.inventory_yaml(user=args.user), end="")
    elif args.command == "exec":
        return subprocess.run(lab.host(args.host).exec_argv(" ".join(args.words)), check=False).returncode
    elif args.command == "ssh":
        user, _, name = args.host.rpartition("@")
        lab.slot.free()
        words = lab.host(name).ssh_argv(user or "ops") + args.words
        os.execvp(words[0], words)
    elif args.command == "fault":
        lab.host(args.host).clear() if args.fault == "clear" else lab.host(args.host).fault(args.fault, *args.arguments)
    else:  # reboot, off, kill, start, cut, mend
        host = lab.host(args.host)
        {"reboot": host.reboot, "off": host.power_off, "kill": host.kill, "start": host.start, "cut": host.cut,
         "mend": host.mend}[args.command]()
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python3 -m tests.lab", description=__doc__)
    top.add_argument("--slot", type=int, default=int(os.environ.get("PATCHCTL_LAB_SLOT", "10")), metavar="N",
                     help="which lab: its hosts are 127.0.N.11 and up (default 10)")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sub.add_parser("setup", help="install what the lab needs on this machine and make the base")
    sub.add_parser("check", help="say whether hosts can be booted here")
    sub.add_parser("key", help="print the path of the private ssh key")
    sub.add_parser("slots", help="all labs of this machine")
    sub.add_parser("sweep", help="clear what dead test runs left")
    sub.add_parser("remove", help="clear all labs of this machine and delete the base")
    up = sub.add_parser("up", help="boot fresh hosts")
    up.add_argument("count", type=int, nargs="?", default=1)
    up.add_argument("--names", nargs="+", default=(), help="instead of h11, h12, ...")
    up.add_argument("--live", action="store_true", help="sources are the machine's own mirror, not the frozen one")
    up.add_argument("--dress", default="", help="as another system: a file of tests/lab/dresses/ (alma, ...)")
    sub.add_parser("down", help="delete hosts; without names all, and the lab").add_argument("hosts", nargs="*")
    sub.add_parser("list", help="hosts")
    inventory = sub.add_parser("inventory", help="print an inventory")
    inventory.add_argument("--user", default="ops")
    inventory.add_argument("--ansible", action="store_true")
    for name, text in (("ssh", "ssh with the lab's key: [USER@]HOST [COMMAND]"), ("exec", "run as root without ssh")):
        command = sub.add_parser(name, help=text)
        command.add_argument("host")
        command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    listed = "\n".join(f"  {name + ' ' + words:36}{text}" for name, (words, text) in FAULTS.items())
    fault = sub.add_parser("fault", help="make a fault, or clear all of a host", epilog=listed,
                           formatter_class=argparse.RawDescriptionHelpFormatter)
    fault.add_argument("host")
    fault.add_argument("fault", metavar="FAULT")
    fault.add_argument("arguments", nargs="*")
    power = {"reboot": "and wait for the new boot id", "off": "shut down cleanly", "kill": "pull the plug",
             "start": "boot again", "cut": "drop all packets", "mend": "let packets through again"}
    for name, text in power.items():
        sub.add_parser(name, help=text).add_argument("host")
    return top


def main() -> int:
    args = parser().parse_args()
    if reason := why_not():
        print(f"lab: {reason}", file=sys.stderr)
        return 0 if args.command == "setup" else 1
    try:
        if args.command == "setup":
            install_needs()
            get_base(say)
        elif args.command == "check":
            print(f"hosts can be booted here; the lab's folder is {lab_folder()}")
        elif args.command == "key":
            print(get_base(say).key)
        elif args.command == "slots":
            list_slots()
        elif args.command == "sweep":
            sweep()
        elif args.command == "remove":
            remove()
        else:
            return act(Lab.at(args.slot, say), args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
