"""python -m tests.windows.proof build [FOLDER] | import RESULT.zip | page.

Make the kit; keep what a run of it brought back; say in docs/howto/windows-proof.md which parts are shown.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from patchctl import __version__
from patchctl.usecases import windows_proof as wp
from tests.windows.proof.kit import build, steps
from tests.windows.proof.page import PAGE, page_text
from tests.windows.proof.result import ROOT, ResultError, keep, read_result


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.windows.proof", description=__doc__)
    sub = parser.add_subparsers(dest="command", required=True)
    sub.add_parser("build").add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    sub.add_parser("import").add_argument("result", type=Path)
    sub.add_parser("page")
    args = parser.parse_args(arguments)
    if args.command == "page":
        PAGE.write_text(page_text(PAGE.read_text()))
        return 0
    if args.command == "build":
        return _build(args.folder)
    try:
        outcome = read_result(args.result)
        for step, why in outcome.left_out:
            print(f"left out  {step}: {why}")
        for one in outcome.captured:
            print(f"NOT shown {one.step.name}: {one.problem}" if one.problem else f"shown     {one.step.name}")
        new = keep(outcome)
    except ResultError as error:
        print(f"windows-proof: {error}", file=sys.stderr)
        return 2
    print(f"{len(new)} parts are new in the registry: {', '.join(new) or '-'}")
    print("Then: python -m tests.windows.proof page; run the tests; commit captures, registry and page together")
    return 0


def _build(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    data, target = build(), folder / f"patchctl-windows-proof-{__version__}.zip"
    target.write_bytes(data)
    every = steps()
    left = wp.never_run(list(wp.parts()))
    print(f"{target}  SHA-256 {hashlib.sha256(data).hexdigest()}")
    print(f"{len(every)} steps, {sum(step.changing for step in every)} of them change the host (only with -Change)")
    print(f"{len(left)} of {len(wp.parts())} parts were never run on Windows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
