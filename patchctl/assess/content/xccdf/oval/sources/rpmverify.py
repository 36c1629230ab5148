"""Files that differ from their rpm packages. Asks: (rpmverify, changed, FLAGS), (rpmverify, files, FLAGS, PATH).

`changed` verifies all packages and tells differences only; `files` tells every file of the packages that own a path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import probe, quoted, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

_FLAGS = re.compile(r"(--[a-z]+ ?)*")
_HEAD = r"""
command -v rpm >/dev/null 2>&1 || { echo none; echo .; exit; }
rpm -q rpm >/dev/null 2>&1 || { rpm -qa >/dev/null 2>&1 || { echo broken; echo .; exit; }; }
"""
_LINE = re.compile(r"[S.?][M.?][5.?][D.?][L.?][U.?][G.?][T.?][P.?]?  ([cdglr ]) (/.*)|missing   ?([cdglr ]) (/.*)")


class _Rpmverify:
    name = "rpmverify"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe; it takes long, because rpm reads every file it compares."""
        text = _HEAD
        for ask in sorted(asks):
            if not _FLAGS.fullmatch(ask[2]) or (ask[1] == "files" and not usable(ask[3])):
                continue
            text += f"printf '%s\\n' {quote_sh('?' + chr(9).join(ask[1:]))}\n"
            if ask[1] == "changed":
                text += f"rpm -Va --noscripts --nodeps {ask[2]}\n"
            else:
                text += f"rpm -Vv --noscripts --nodeps {ask[2]} -f {quoted([ask[3]])[0]}\n"
        return (probe(self.name, asks, text + "echo .\n", timeout=900.0, root=True),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Read (marks, attribute, path) of each file; marks are "missing" for files that are not there."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        current: list[tuple[str, str, str]] = []
        for line in lines:
            if line.startswith("?") and "\t" in line:
                current = []
                answers[("rpmverify", *line[1:].split("\t"))] = (
                    Unreadable("the rpm database could not be read") if "broken" in lines else current)
            elif (match := _LINE.fullmatch(line)) is not None:
                if match[4]:
                    current.append(("missing", match[3].strip(), match[4]))
                else:
                    current.append((line.split(" ")[0], match[1].strip(), match[2]))


SOURCE = _Rpmverify()
