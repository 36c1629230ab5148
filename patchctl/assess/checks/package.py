"""package: a package is installed, or is not, or has at least a version (dpkg, rpm, apk)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.frames import END, PRELUDE, words
from patchctl.assess.checks.contract import (
    Answers,
    Args,
    Argument,
    Batch,
    CheckType,
    Flaw,
    NotApplicable,
    Question,
    Unreadable,
)
from patchctl.assess.repairing import PACKAGE
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh
from patchctl.model.versions.deb import compare as compare_deb

# One query for all names; what the package database does not know is told by the loop, without a process.
_ASK = r"""
if command -v dpkg-query >/dev/null 2>&1; then
  pc_all=$(dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n' 2>/dev/null) || pc_all='!'
  pc_kind=deb
elif command -v rpm >/dev/null 2>&1; then
  pc_all=$(rpm -qa --qf '%{NAME} installed %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n' 2>/dev/null) || pc_all='!'
  pc_kind=rpm
elif command -v apk >/dev/null 2>&1; then
  pc_all=$(apk list -I 2>/dev/null | sed 's/^\(.*\)-\([0-9][^ -]*-r[0-9]*\) .*/\1 installed \2/') || pc_all='!'
  pc_kind=apk
else
  pc_all='!' pc_kind=none
fi
[ -n "$pc_all" ] || pc_all='!'
printf '%s\n' "$pc_all" | awk -v kind="$pc_kind" '
  BEGIN { for (i = 1; i < ARGC; i++) want[ARGV[i]] = 1; ARGC = 1 }
  $2 == "installed" && NF == 3 { some = 1 }
  ($1 in want) && $2 !~ /^(not-installed|config-files)$/ { have[$1] = $3 ($2 ~ /^(installed|trig)/ ? "" : " " $2) }
  END { for (name in want) { print "@@ " name
    if (!some) print "@! the package database cannot be read (" kind ")"
    else if (name in have) print "=" kind " " have[name]
    else print "@- not installed" } }' """


def _script(questions: Sequence[str]) -> str:
    return f"{PRELUDE}{_ASK}{words(questions)}\n{END}"


PACKAGES = Batch("package", _script, timeout=60)


class Package(CheckType):
    name = "package"
    summary = "A package is installed, or is not."
    arguments = (
        Argument("name", "text", "name of the package", required=True),
        Argument("state", "text", "what it should be (default installed)", choices=("installed", "absent")),
        Argument("version", "text", "at least this version (dpkg hosts)"),
    )
    example = "{name: telnetd, state: absent}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if args.get("state") == "absent" and "version" in args:
            yield Flaw("version", "what is absent has no version", "remove state or version")
        if args["name"].startswith("-") or any(c in args["name"] for c in " /*?["):
            yield Flaw("name", f"{args['name']!r} is no name of a package")

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(PACKAGES, args["name"])]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        answer = host.get(PACKAGES, args["name"])
        absent = args.get("state") == "absent"
        expected = "not installed" if absent else "installed"
        source = f"package {args['name']}"
        if answer.missing:
            return [Item(source, expected, "not installed", absent)]
        kind, version, state = (*answer.text.split(), "", "", "")[:3]
        if not version:
            raise Unreadable(f"{source}: the answer tells no version")
        if state:  # files of it are there, and it is not ready to be used (dpkg(1): half-installed, unpacked ...)
            return [Item(source, expected, f"{state}, {version}", False)]
        if "version" not in args:
            return [Item(source, expected, f"installed, {version}", not absent)]
        if kind != "deb":
            raise NotApplicable(f"{source}: versions are compared on dpkg hosts only, this one has {kind}")
        return [Item(source, f"at least {args['version']}", version, compare_deb(version, args["version"]) >= 0)]

    def repair(self, args: Args) -> Remediation | None:
        name = quote_sh(args["name"])
        if args.get("state") == "absent":
            return Remediation("declarative", f"{PACKAGE}pc_package purge {name}\n",
                               disruption=f"removes {args['name']} and what needs it")
        return Remediation("declarative", f"{PACKAGE}pc_package install {name}\n",
                           disruption=f"installs {args['name']} and what it needs")


CHECK = Package()
