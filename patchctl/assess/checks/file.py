"""file: existence, owner, group, mode, ACL, hash and content of files, by path or glob."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import LEADS_NOWHERE, READ, STAT, glob_pattern, is_glob, names_of, refuse_secret
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question, Unreadable
from patchctl.assess.matching import found_in
from patchctl.assess.repairing import ENSURE_LINE, REMOVE_LINES
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

_LOOKS = ("mode", "owner", "group", "type")
_CONTENT = ("line", "lacks_line", "contains", "lacks")


class File(CheckType):
    name = "file"
    summary = "A file or folder is there or not, and its owner, mode, ACL, hash and content are as expected."
    arguments = (
        Argument("path", "glob", "path, or a glob (* ? []) whose every match is looked at", required=True),
        Argument("state", "text", "present, absent, or optional: judged only if it is there (default present; "
                 "for a glob optional)", choices=("present", "absent", "optional")),
        Argument("type", "text", "what it is", choices=("file", "directory")),
        Argument("mode", "mode", "the most it may allow, as 0644: any stricter mode is fine too"),
        Argument("exact_mode", "flag", "true: exactly that mode"),
        Argument("owner", "texts", "name or id of its owner (any of these)"),
        Argument("group", "texts", "name or id of its group (any of these)"),
        Argument("acl", "text", "none: no access control list beyond the mode", choices=("none",)),
        Argument("sha256", "text", "SHA-256 of its content, hexadecimal (files up to 256 MiB)"),
        Argument("line", "text", "a line that is in it, exactly (white space at both ends does not count)"),
        Argument("lacks_line", "text", "a line that is not in it"),
        Argument("contains", "pattern", "a regular expression (PCRE2, ^ and $ at each line) that is found in it"),
        Argument("lacks", "pattern", "a regular expression that is not found in it"),
    )
    example = '{path: /etc/passwd, owner: root, group: root, mode: "0644"}'
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if args.get("state") == "absent" and len(args) > 2:
            yield Flaw("state", "of what is absent nothing else can be expected", "remove the other arguments")
        if "exact_mode" in args and "mode" not in args:
            yield Flaw("exact_mode", "there is no mode to be exact about", 'add mode: "0644"')
        if "sha256" in args and not re.fullmatch(r"[0-9a-fA-F]{64}", args["sha256"]):
            yield Flaw("sha256", "a SHA-256 is 64 hexadecimal digits")
        if (reason := refuse_secret(args["path"])) and any(name in args for name in _CONTENT):
            yield Flaw("path", f"the content of {args['path']} is not read: {reason}", "passwords: use the user check")

    def questions(self, args: Args) -> Sequence[Question]:
        path = args["path"]
        found = [Question(STAT, path)]
        if not is_glob(path):
            found += [Question(STAT, f"acl:{path}")] if "acl" in args else []
            found += [Question(STAT, f"sha256:{path}")] if "sha256" in args else []
        return found + ([Question(READ, path)] if any(name in args for name in _CONTENT) else [])

    def more(self, args: Args, host: Answers) -> Sequence[Question]:
        if not is_glob(args["path"]) or not {"acl", "sha256"} & args.keys():
            return ()
        return [Question(STAT, f"{kind}:{path}") for path in names_of(host, STAT, args["path"])
                for kind in ("acl", "sha256") if kind in args]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        state = args.get("state", "optional" if is_glob(args["path"]) else "present")
        names = names_of(host, STAT, args["path"])
        if not names:
            return [Item(args["path"], _state_words(state), "nothing there", state != "present")]
        return [item for name in names for item in self._one(args, state, name, host)]

    def _one(self, args: Args, state: str, path: str, host: Answers) -> list[Item]:
        found = host.get(STAT, path)
        if found.missing or state == "absent":
            link = found.text.strip() == LEADS_NOWHERE  # nothing to read, yet it is there: whoever fills it opens it
            ok = found.missing and state != "present" and not (link and state == "absent")
            words = LEADS_NOWHERE if link else "not there" if found.missing else "there"
            return [Item(path, _state_words(state), words, ok)]
        items = _looks(args, path, found.text)
        if "acl" in args:
            acl = host.get(STAT, f"acl:{path}").lines
            items.append(Item(path, "no access control list", ", ".join(filter(None, acl)) or "none", not acl))
        if "sha256" in args:
            digest = host.get(STAT, f"sha256:{path}").text.strip()
            if not re.fullmatch(r"\\?[0-9a-f]{64}", digest):
                raise Unreadable(f"{path}: sha256sum said {digest!r}")
            same = digest.lstrip("\\") == args["sha256"].lower()  # a name with odd characters makes it start with one
            items.append(Item(path, f"sha256 {args['sha256']}", f"sha256 {digest}", same))
        if any(name in args for name in _CONTENT):
            content = host.get(READ, path)
            if content.missing:
                raise Unreadable(f"{path}: {content.text}")
            items += _content(args, path, content.text)
        return items or [Item(path, "there", "there", True)]

    def repair(self, args: Args) -> Remediation | None:
        path = args["path"]
        if args.get("state") == "absent":
            if is_glob(path):
                return None
            return Remediation("declarative", f"if [ ! -d {quote_sh(path)} ]; then rm -f -- {quote_sh(path)}; fi\n",
                               (path,))
        if {"sha256", "contains", "lacks", "type"} & args.keys():
            return None
        lines, parts = [], []
        if "owner" in args or "group" in args:
            owner = f"{args.get('owner', ('',))[0]}:{args.get('group', ('',))[0]}".removesuffix(":")
            lines.append(f'chown -- {quote_sh(owner)} "$f"')
        if "mode" in args:
            mode = args["mode"].zfill(4)
            lines.append(f'chmod {mode} "$f"' if args.get("exact_mode") else f'chmod {_minus(mode)} "$f"')
        if "acl" in args:
            lines.append('setfacl -b -- "$f"')
        if lines:
            body = "; ".join(lines)
            parts.append(f'for f in {glob_pattern(path)}; do if [ -e "$f" ]; then {body}; fi; done\n')
        if is_glob(path) and {"line", "lacks_line"} & args.keys():
            return None
        if "line" in args:
            parts.append(f"{ENSURE_LINE}pc_ensure_line {quote_sh(path)} {quote_sh(args['line'])}\n")
        if "lacks_line" in args:
            parts.append(f"{REMOVE_LINES}pc_remove_line {quote_sh(path)} {quote_sh(args['lacks_line'])}\n")
        return Remediation("declarative", "".join(reversed(parts)), () if is_glob(path) else (path,)) if parts else None


def _state_words(state: str) -> str:
    return {"present": "there", "absent": "not there", "optional": "there or not"}[state]


def _minus(mode: str) -> str:
    """Return the chmod words that take away what a mode does not allow, and give nothing."""
    bits = int(mode, 8)
    words = [f"{who}-{''.join(c for c, bit in zip('rwx', (4, 2, 1), strict=True) if not bits >> shift & bit)}"
             for who, shift in (("u", 6), ("g", 3), ("o", 0)) if bits >> shift & 7 != 7]
    special = [word for word, bit in (("u-s", 0o4000), ("g-s", 0o2000), ("-t", 0o1000)) if not bits & bit]
    return ",".join(words + special) or "u+r"


def _looks(args: Args, path: str, text: str) -> list[Item]:
    found = re.fullmatch(r"([0-9a-f]+) (\d+) (\d+) (\S+) (\S+)", text.strip())
    if found is None:
        raise Unreadable(f"{path}: stat said {text.strip()!r}")
    raw = int(found[1], 16)
    mode, items = stat.S_IMODE(raw), []
    if "type" in args:
        kind = "directory" if stat.S_ISDIR(raw) else "file" if stat.S_ISREG(raw) else "something else"
        items.append(Item(path, f"a {args['type']}", f"a {kind}", kind == args["type"]))
    if "mode" in args:
        limit = int(args["mode"], 8)
        exact = bool(args.get("exact_mode"))
        ok = mode == limit if exact else not mode & ~limit
        items.append(Item(path, f"mode {limit:04o}{'' if exact else ' or stricter'}", f"mode {mode:04o}", ok))
    for name, number, word in (("owner", 2, 4), ("group", 3, 5)):
        if name in args:
            ok = found[number] in args[name] or found[word] in args[name]
            items.append(Item(path, f"{name} {' or '.join(args[name])}", f"{name} {found[word]}", ok))
    return items


def _content(args: Args, path: str, text: str) -> list[Item]:
    items = []
    lines = {line.strip() for line in text.splitlines()}
    for name, wanted in (("line", True), ("lacks_line", False)):
        if name in args:
            there = args[name].strip() in lines
            items.append(Item(path, f"{'a' if wanted else 'no'} line {args[name]!r}",
                              "it is there" if there else "no such line", there is wanted))
    for name, wanted in (("contains", True), ("lacks", False)):
        if name in args:
            there = found_in(args[name], text)
            items.append(Item(path, f"{'text' if wanted else 'no text'} matching {args[name]}",
                              _matching(args[name], text) if there else "none matches", there is wanted))
    return items


def _matching(pattern: str, text: str) -> str:
    return next((line.strip() for line in text.splitlines() if found_in(pattern, line)), "it matches")


CHECK = File()
