"""What tests of native baselines share: visiting a lab host, breaking it rule by rule, recording what it answered."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from patchctl.assess.checks.contract import Unreadable
from patchctl.assess.contract import MAX_TRIPS
from patchctl.assess.native.answers import CaseAnswers, SnapshotAnswers, write_case
from patchctl.assess.native.compiled import Bound, CompiledNative, bind
from patchctl.assess.native.tree import judge
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.documents.baselines import load_baseline
from patchctl.model.evidence import Probe, Snapshot
from tests.lab import LabHost

ROOT = Path(__file__).resolve().parents[2]
NONCE = "0123456789abcdef0123456789abcdef"

# Stand-ins, so that a container can be broken: settings of the kernel are files of the host's own (those of a container
# belong to the machine, and it lacks the list of the kernel's built-in modules), packages are empty ones of that name,
# units sleep.
PREPARE = r"""
set -e
mkdir -p /run/sysctls /opt/dummy
m=/lib/modules/$(uname -r); mkdir -p "$m"
[ -e "$m/modules.builtin" ] || echo kernel/fs/ext4/ext4.ko >"$m/modules.builtin"
cp -r --no-preserve=all /proc/sys/net /proc/sys/kernel /proc/sys/fs /run/sysctls/ 2>/dev/null || true
for k in $SYSCTLS; do
  f=/run/sysctls/$(echo "$k" | tr . /); mkdir -p "$(dirname "$f")"; [ -e "$f" ] || echo 0 >"$f"
done
mount --bind /run/sysctls /proc/sys
cd /opt/dummy; : >Packages
for p in $PACKAGES; do
  mkdir -p "$p/DEBIAN"
  { echo "Package: $p"; echo 'Version: 99.0'; echo 'Architecture: all'; echo 'Maintainer: lab <lab@example.com>'
    echo 'Description: stand-in'; } >"$p/DEBIAN/control"
  dpkg-deb -b "$p" "$p.deb" >/dev/null
  { cat "$p/DEBIAN/control"; echo "Filename: ./$p.deb"; echo "Size: $(stat -c %s "$p.deb")"
    echo "SHA256: $(sha256sum "$p.deb" | cut -d' ' -f1)"; echo; } >>Packages
  rm -r "$p"
done
echo 'deb [trusted=yes] file:/opt/dummy ./' >/etc/apt/sources.list.d/dummy.list
apt-get -q update -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/dummy.list -o Dir::Etc::sourceparts=- \
  -o APT::Get::List-Cleanup=0 >/dev/null
"""
FUNCTIONS = r"""
dummy() { :; }
fakeunit() {
  printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >"/etc/systemd/system/$1"
  systemctl daemon-reload
}
listen23() { setsid busybox nc -l -p 23 </dev/null >/dev/null 2>&1 & echo $! >/run/listen23; sleep 0.3; }
"""


def run_in(host: LabHost, script: str) -> subprocess.CompletedProcess[str]:
    """Run sh text as root in the host, from standard input as a remediation is."""
    return subprocess.run(host.exec_argv("exec sh -s"), input=script, capture_output=True, text=True, errors="replace",
                          timeout=300, check=False)


def visit(host: LabHost, baseline: CompiledNative) -> Snapshot:
    """Ask all that the baseline wants to know, follow-ups too."""
    snapshot = Snapshot(host.name, time.time(), {})
    probes: Any = baseline.probes()
    for _ in range(MAX_TRIPS):
        if not probes:
            break
        found = _ask(host, probes)
        snapshot = Snapshot(host.name, found.taken_at, {**snapshot.evidence, **found.evidence})
        probes = baseline.follow_up(snapshot)
    return snapshot


def _ask(host: LabHost, probes: tuple[Probe, ...]) -> Snapshot:
    done = subprocess.run(host.exec_argv("exec sh -s"), input=compile_script(probes, NONCE).encode(),
                          capture_output=True, timeout=300, check=False)
    return parse_output(done.stdout, probes, NONCE, host=host.name, taken_at=time.time(), as_root=True, seconds=0.0,
                        lost="")


def prepare(host: LabHost, bound: Mapping[str, Bound]) -> None:
    """Make a host that can be broken."""
    rules = [leaf for b in bound.values() for leaf in _leaves(b)]
    sysctls = " ".join(args["key"] for kind, args in rules if kind == "sysctl")
    names = " ".join(args["name"] for kind, args in rules if kind == "package" and args["name"] != "sudo")
    done = run_in(host, f"SYSCTLS='{sysctls}' PACKAGES='{names}'\n{PREPARE}")
    assert done.returncode == 0, done.stderr


def _leaves(bound: Bound) -> list[tuple[str, Any]]:
    from patchctl.assess.native.tree import leaves
    return [(leaf.type, leaf.args) for leaf in leaves(bound.check)]


def load(name: str) -> tuple[dict[str, Bound], CompiledNative]:
    """Return the bound rules of a shipped baseline by id, and the baseline without its condition."""
    native = load_baseline(ROOT / "baselines" / f"{name}.yaml").native
    bound, when, faults = bind(native)
    assert not faults
    return {b.rule.id: b for b in bound}, CompiledNative(name, "", "", "", tuple(bound), when,
                                                         rules=tuple(b.rule for b in bound))


def case_of(bound: Bound, snapshot: Snapshot) -> dict[str, dict[str, str | None]]:
    """Return what a host answered to one rule's check, cut down to the lines that decide."""
    host = SnapshotAnswers(snapshot)
    from patchctl.assess.native.tree import more_of, questions_of
    whole: dict[str, dict[str, str | None]] = {}
    for question in [*questions_of(bound.check), *more_of(bound.check, host)]:
        texts = [question.text]
        if any(c in question.text for c in "*?["):
            texts = [f"glob:{question.text}", *host.get(question.batch, f"glob:{question.text}").lines]
        for text in texts:
            try:
                whole.setdefault(question.batch.name, {})[text] = write_case(host.get(question.batch, text))
            except Unreadable as why:
                whole.setdefault(question.batch.name, {})[text] = f"! {why}"
    words = [str(args.get(name, "")).lower() for kind, args in _leaves(bound)
             for name in ("option", "key", "name", "module", "defaults", "line") if args.get(name)]
    words += ["include", "match", "["] if words else []
    small: dict[str, dict[str, str | None]] = {}
    for batch, answers in whole.items():
        for asked, text in answers.items():
            kept = text
            if text is not None and words and "\n" in text and batch in ("read", "sshd", "accounts", "unit") \
                    and not asked.startswith("glob:") and "/proc/" not in asked and batch != "unit":
                kept = "".join(f"{line}\n" for line in text.splitlines()
                               if any(w in line.lower() for w in words) and not line.startswith("# "))
            small.setdefault(batch, {})[asked] = kept
    for batch, answers in small.items():
        globs = [q for q in answers if q.startswith("glob:")]
        for glob in globs:
            names = (answers[glob] or "").splitlines()
            used = [n for n in names if batch != "read" or answers.get(n) or n.startswith("/etc/ssh")]
            for name in set(names) - set(used):
                answers.pop(name, None)
            answers[glob] = "".join(f"{n}\n" for n in used)
    same = judge(bound.check, CaseAnswers(small)).verdict == judge(bound.check, CaseAnswers(whole)).verdict
    return small if same else whole


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar(
    "tag:yaml.org,2002:str", text, style="|" if "\n" in text and text.isprintable() is False and "\t" not in text
    and all(line == line.rstrip() for line in text.split("\n")) else '"'))


def write_cases(path: Path, cases: Mapping[str, Any], head: str) -> None:
    path.parent.mkdir(exist_ok=True)
    text = yaml.dump({"cases": dict(cases)}, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    path.write_text(head + text)
