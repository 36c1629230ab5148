"""Small facts of a host, read together: kernel, mounts, accounts, interfaces, environment.

Asks: (host, uname), (host, mounts), (host, accounts), (host, interfaces), (host, environment, NAME).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import probe
from patchctl.assess.content.xccdf.oval.facts import Ask
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

# Values never hold a newline at the start of a record of another kind: every line carries its section's letter.
_PARTS = {
    "uname": r"""for f in -m -n -s -r -v; do printf 'u%s\n' "$(uname $f)"; done""",
    "mounts": r"""while IFS= read -r l; do printf 'm%s\n' "$l"; done </proc/mounts || exit 1""",
    "accounts": r"""getent passwd | awk '{ print "a" $0 }'""",
    "interfaces": r"""ip -o addr show | awk '{ print "i" $0 }'
for d in /sys/class/net/*/flags; do
  [ -r "$d" ] && { read -r l <"$d"; d=${d%/flags}; printf 'f%s\t%s\n' "${d##*/}" "$l"; }
done""",
}
_ENVIRONMENT = r"""tr '\0\n' '\n ' </proc/"${pc_me:-$$}"/environ | awk -v n={name} '
  index($0, n "=") == 1 { print "e" $0 }'
"""


class _Host:
    name = "host"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all of them."""
        kinds = {a[1] for a in asks}
        names = sorted({a[2] for a in asks if a[1] == "environment" and a[2].replace("_", "").isalnum()})
        told = "".join(f"printf '%s\\n' {quote_sh('?' + chr(9).join(a[1:]))}\n" for a in sorted(asks))
        text = [told, *(f"{command}\n" for kind, command in _PARTS.items() if kind in kinds)]
        text += [_ENVIRONMENT.replace("{name}", quote_sh(n)) for n in names]
        return (probe(self.name, asks, "".join([*text, "echo .\n"])),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Give each question its lines; the test types take them apart."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        by: dict[str, list[str]] = {}
        for line in lines:
            by.setdefault(line[:1], []).append(line[1:])
        for asked in by.get("?", ()):
            kind, _, name = asked.partition("\t")
            if kind == "environment":
                prefix = f"{name}="
                found = tuple(e[len(prefix) :] for e in by.get("e", ()) if e.startswith(prefix))
                answers[("host", "environment", name)] = found
            elif kind == "interfaces":
                answers[("host", kind)] = (tuple(by.get("i", ())), tuple(by.get("f", ())))
            elif kind in ("uname", "mounts", "accounts") and by.get(kind[0]):
                answers[("host", kind)] = tuple(by[kind[0]])


SOURCE = _Host()
