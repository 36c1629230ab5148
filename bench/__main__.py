"""`make bench`: all measurements in one run, side by side, as a table of ratios. See bench/README.md."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.assess_20 import compare_checks
from bench.fleet import Fleet, Row, compare_peers, compare_scan
from bench.measure import MeasureError, measure, side_by_side
from bench.winrm_200 import compare_winrm
from tests.lab import Lab, LabError, why_not
from tests.lab.programs import say

HERE = Path(__file__).parent


def start_up() -> list[Row]:
    """`patchctl --help` against an empty Python program."""
    patchctl = Path(sys.executable).with_name("patchctl")
    costs = side_by_side(15, {
        "python3 -c pass": lambda: measure([sys.executable, "-c", "pass"]),
        "patchctl --help": lambda: measure([patchctl, "--help"]),
    })
    rows: list[Row] = [{"what": name, "wall s": cost.wall, "cpu s": cost.cpu} for name, cost in costs.items()]
    more = (costs["patchctl --help"].wall - costs["python3 -c pass"].wall) * 1000
    return [*rows, {"what": "--help - pass, ms", "value": more, "limit": 150, "ok": more < 150}]


def script(name: str) -> list[Row]:
    """Run one of the scripts beside this file, which judge themselves by their exit code, and pass on its last line."""
    cost = measure([sys.executable, HERE / f"{name}.py"], cwd=HERE.parent, timeout=600, good=(0, 1))
    lines = cost.output.strip().splitlines()
    return [{"what": name, "value": " ".join(lines[-3:])[-90:], "ok": cost.code == 0}]


def scap() -> list[Row]:
    """Run bench/scap.py, which boots a host of its own and judges itself by its exit code."""
    cost = measure([sys.executable, "-m", "bench.scap"], cwd=HERE.parent, timeout=900, good=(0, 1))
    lines = [line.strip() for line in cost.output.splitlines() if line.startswith("  ")]
    return [{"what": "scap", "value": " | ".join(lines), "ok": cost.code == 0}]


def fleet_rows(count: int, rounds: int, wanted: Sequence[str]) -> dict[str, list[Row]]:
    """Boot the hosts and make the comparisons that need them."""
    if reason := why_not():
        say(f"bench: left out {', '.join(wanted)}: {reason}")
        return {}
    with Lab.session(say) as lab, tempfile.TemporaryDirectory(prefix="patchctl-bench-") as folder:
        say(f"bench: booting {count} hosts")
        lab.up(count)
        fleet = Fleet(lab, Path(folder))
        compare = {"scan": compare_scan, "peers": compare_peers, "checks": compare_checks}
        return {name: compare[name](fleet, rounds) for name in wanted}


def show(title: str, rows: Sequence[Row]) -> None:
    """Print measured rows and judged ratios under a title."""
    def word(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) and value < 1 else (
            f"{value:.1f}" if isinstance(value, float) else str(value))

    print(f"\n{title}")
    for row in rows:
        facts = [f"{key} {word(value)}" for key, value in row.items() if key not in ("what", "ok")]
        verdict = {True: "ok", False: "TOO MUCH"}.get(row.get("ok"), "")  # type: ignore[call-overload]
        print(f"  {row['what']!s:48} {'  '.join(facts)}  {verdict}".rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    every = ("start", "inventory", "plan", "assess", "scap", "winrm", "scan", "peers", "checks")
    parser.add_argument("only", nargs="*", metavar="WHAT", help=f"some of: {', '.join(every)}; default all")
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn; medians are shown")
    parser.add_argument("--save", action="store_true", help="write bench/results/DATE.json")
    args = parser.parse_args()
    if unknown := set(args.only) - set(every):
        parser.error(f"no measurement {', '.join(unknown)}; there are: {', '.join(every)}")
    wanted = args.only or every
    results: dict[str, list[Row]] = {}
    try:
        if "start" in wanted:
            results["start"] = start_up()
        for name, count in (("inventory", 5000), ("plan", 5000), ("assess", 1000)):
            if name in wanted:
                results[name] = script(f"{name}_{count}")
        if "scap" in wanted:
            results["scap"] = scap()
        if "winrm" in wanted:
            results["winrm"] = compare_winrm(args.rounds)
        if on_hosts := [name for name in ("scan", "peers", "checks") if name in wanted]:
            results |= fleet_rows(args.hosts, args.rounds, on_hosts)
    except (MeasureError, LabError) as error:
        say(f"bench: {error}")
        return 1
    titles = {"start": "Start", "inventory": "5,000 hosts: inventory", "plan": "5,000 hosts: plan",
              "assess": "1,000 recorded hosts by 250 rules",
              "winrm": "Scan of 200 simulated WinRM hosts",
              "scap": "SCAP: our probes and oscap on a host",
              "scan": f"Scan of {args.hosts} lab hosts", "peers": f"Pending updates of {args.hosts} lab hosts",
              "checks": "25 simple checks on 20 lab hosts"}
    for name, rows in results.items():
        show(titles[name], rows)
    if args.save:
        path = HERE / "results" / f"{time.strftime('%Y-%m-%d')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": platform.machine(), "python": platform.python_version(),
                                    "hosts": args.hosts, "rounds": args.rounds, "results": results}, indent=1) + "\n")
        say(f"bench: wrote {path}")
    return 0 if all(row.get("ok", True) for rows in results.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
