"""Batches about what runs: listening sockets, processes, firewalls, audit rules, the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.checks.contract import Batch


def fixed(body: str) -> Callable[[Sequence[str]], str]:
    """Return a script that answers the same whatever is asked."""
    return _Fixed(f"{PRELUDE}{body}\n{END}")


class _Fixed:
    """A script that is known beforehand; a class, because a compiled baseline is pickled."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, questions: Sequence[str]) -> str:
        return self.text


LISTEN = Batch("listen", fixed("pc_run tcp ss -Hltnp; pc_run udp ss -Hlunp"), root=True, timeout=30, volatile=True)
"""Questions: tcp, udp. What listens, with the names of processes."""

PROCESSES = Batch("process", fixed(r"""
echo '@@ all'
if { read -r pc_c </proc/1/comm; } 2>/dev/null; then
  for pc_d in /proc/[0-9]*; do
    pc_c=; read -r pc_c <"$pc_d/comm" && printf '=%s\n' "$pc_c"
  done 2>/dev/null | sort -u || pc_bad 'sort failed'
else
  echo "@! /proc shows no process 1: those of others are hidden (hidepid), reading them needs root"
fi"""), timeout=30, volatile=True)
"""The names of all processes (comm, at most 15 characters), never their arguments: those may hold secrets.

Where /proc is mounted with hidepid (proc(5)), only root sees all: process 1, which is always there, tells.
"""

# Where iptables-save is nft's, it does not see legacy tables. The kernel names those that are in use; only then are
# they read, for reading others would make them.
_TABLES = r"""
pc_PROGRAM() {
  PROGRAM-save || return
  pc_t=
  [ ! -e /proc/net/FAMILY_tables_names ] || pc_t=$(cat /proc/net/FAMILY_tables_names) || return
  [ -n "$pc_t" ] || return 0
  pc_v=$(PROGRAM -V) || return
  case $pc_v in *nf_tables*) PROGRAM-legacy-save ;; esac
}
if command -v PROGRAM-save >/dev/null 2>&1; then pc_run PROGRAM pc_PROGRAM
else echo '@@ PROGRAM'; echo '@- no program PROGRAM-save'; fi
"""


def _tables(program: str, family: str) -> str:
    return _TABLES.replace("PROGRAM", program).replace("FAMILY", family)


FIREWALL = Batch("firewall", fixed(
    f"pc_run nft nft list ruleset{_tables('iptables', 'ip')}{_tables('ip6tables', 'ip6')}"), root=True, timeout=60)
"""Questions: nft, iptables, ip6tables. ufw and firewalld are seen by what they load."""

AUDIT = Batch("audit", fixed("pc_run rules auditctl -l; pc_run status auditctl -s"), root=True, timeout=30)
"""Questions: rules, status."""

CLOCK = Batch("clock", fixed("echo '@@ all'; echo \"=$(date +%s)\""), timeout=10, volatile=True)
"""The host's clock in Unix time."""

APPARMOR = Batch("apparmor", fixed(r"""
for pc_n in enabled profiles; do
  echo "@@ $pc_n"
  case $pc_n in enabled) pc_f=/sys/module/apparmor/parameters/enabled ;;
    *) pc_f=/sys/kernel/security/apparmor/profiles ;; esac
  if [ -r "$pc_f" ]; then sed 's/^/=/' "$pc_f" 2>/dev/null || pc_bad 'not readable'
  elif [ -e "$pc_f" ]; then echo '@! not readable'
  else echo "@- no $pc_f"; fi
done"""), root=True, timeout=20)
"""Questions: enabled, profiles."""
