"""sshd: an option of the SSH server as `sshd -T` tells it, and in no Match block otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, ask_files, is_glob, many_files
from patchctl.assess.asking.frames import END, PRELUDE, said_by
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
from patchctl.assess.matching import EXPECTATIONS, expectation_flaws, fits, repair_value, wanted
from patchctl.assess.reading.sshd import LISTS, MULTIPLE, in_match, includes, read_effective
from patchctl.assess.repairing import SET_KEY, ere, set_key
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

MAIN = "/etc/ssh/sshd_config"
OWN_FILE = "/etc/ssh/sshd_config.d/00-patchctl.conf"
"""sshd takes the first value it finds, and Debian's sshd_config includes this folder at its top."""


def _script(questions: Sequence[str]) -> str:
    return (f"{PRELUDE}pc_sshd=$(command -v sshd || echo sshd)\n"
            f'pc_run all "$pc_sshd" -T\n{END}')


EFFECTIVE = Batch("sshd", _script, root=True, timeout=30)


class Sshd(CheckType):
    name = "sshd"
    summary = "An option of the SSH server has a value, and no Match block sets it otherwise."
    arguments = (
        Argument("option", "text", "keyword of sshd_config(5); upper and lower case are one", required=True),
        *EXPECTATIONS,
        Argument("subset_of", "texts", "for lists of algorithms: nothing that is not among these"),
        Argument("match_blocks", "flag", "false: Match blocks may differ (default true: they are looked at too)"),
    )
    example = '{option: PermitRootLogin, one_of: ["no", prohibit-password]}'
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", args["option"]):
            yield Flaw("option", f"{args['option']!r} is no keyword of sshd_config")
        yield from expectation_flaws(args, ("subset_of",))

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(EFFECTIVE), *(ask_files(MAIN) if args.get("match_blocks", True) else ())]

    def more(self, args: Args, host: Answers) -> Sequence[Question]:
        if not args.get("match_blocks", True):
            return ()
        files, _, open_ = _files(host)
        found = [p for name, text in files.items() for p in includes(name, text)]
        return [Question(READ, path) for path in dict.fromkeys((*found, *open_))]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        said = said_by(host, EFFECTIVE)
        if said.missing:
            raise NotApplicable("no SSH server is installed")
        effective = read_effective(said.text)
        option = args["option"].lower()
        values = effective.get(option, [])
        if not values and "port" not in effective:
            raise Unreadable("sshd -T tells no port: these are not the server's settings")
        items = [self._item(args, f"sshd -T {option}", value) for value in values]
        if not items:
            items = [Item(f"sshd -T {option}", _wanted(args), "not set", bool(args.get("absent")))]
        if args.get("match_blocks", True):
            files, globs, open_ = _files(host)
            if open_:
                raise Unreadable(f"{open_[0]}, which sshd_config includes, was not collected")
            items += [self._item(args, f"{o.place} (Match {o.match})", o.value) for o in in_match(files, globs, MAIN)
                      if o.option == option]
        return items

    def _item(self, args: Args, source: str, value: str) -> Item:
        shown = value or "none"
        ok = fits({k: v for k, v in args.items() if k != "subset_of"}, value, ignore_case=True)
        if "subset_of" in args:
            rest = [word for word in value.split(",") if word not in args["subset_of"]]
            ok, shown = not rest, f"also {', '.join(rest)}" if rest else shown
        return Item(source, _wanted(args), shown, ok)

    def repair(self, args: Args) -> Remediation | None:
        value = ",".join(args["subset_of"]) if "subset_of" in args else repair_value(args)
        option = args["option"]
        if value is None or option.lower() in MULTIPLE or (option.lower() in LISTS and "subset_of" not in args):
            return None
        pattern = f"^[ \\t]*{ere(option)}([ \\t=]|$)"
        script = f"""{SET_KEY}
{set_key(OWN_FILE, pattern, f"{option} {value}")}chmod 0600 {OWN_FILE}
grep -qiE '^[[:space:]]*Include[[:space:]]+/etc/ssh/sshd_config\\.d/\\*\\.conf' {MAIN} ||
  {{ echo 'Include /etc/ssh/sshd_config.d/*.conf'; cat {MAIN}; }} | pc_put {MAIN}
for f in {MAIN} /etc/ssh/sshd_config.d/*.conf; do
  if [ -f "$f" ] && [ "$f" != {OWN_FILE} ]; then pc_drop_key "$f" {quote_sh(pattern)}; fi
done
mkdir -p /run/sshd; sshd -t
if systemctl -q is-active ssh.service; then systemctl reload ssh.service
elif systemctl -q is-active sshd.service; then systemctl reload sshd.service; fi
"""
        return Remediation("declarative", script, (OWN_FILE, MAIN), "reloads sshd; open sessions stay")


def _wanted(args: Args) -> str:
    return f"only {', '.join(args['subset_of'])}" if "subset_of" in args else wanted(args)


def _files(host: Answers) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    """Return (files read, what globs stand for, includes that were not asked for yet)."""
    files: dict[str, str] = {}
    globs: dict[str, list[str]] = {}
    missing: list[str] = []
    queue = [MAIN]
    while queue:
        path = queue.pop()
        if path in files or path in globs:
            continue
        try:
            if is_glob(path):
                found = many_files(host, path)
                globs[path] = [name for name, _ in found]
                files.update(found)
                queue += [p for name, text in found for p in includes(name, text)]
                continue
            answer = host.get(READ, path)
        except Unreadable:
            if path == MAIN:
                raise
            missing.append(path)
            continue
        files[path] = answer.text if not answer.missing else ""
        queue += includes(path, files[path])
    return files, globs, missing


CHECK = Sshd()
