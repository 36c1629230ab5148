"""config: the value of a key in a configuration file: `KEY value` or `KEY=value`, with sections and drop-ins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import ask_files, is_glob, many_files, refuse_secret
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS, expectation_flaws, fits, repair_value, wanted
from patchctl.assess.reading.keyvalue import read_values
from patchctl.assess.repairing import SET_KEY, ere, set_key
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh


class Config(CheckType):
    name = "config"
    summary = "A key of a configuration file (INI, KEY=value, KEY value) has a value; drop-in files count after it."
    arguments = (
        Argument("path", "path", "the file", required=True),
        Argument("dropins", "glob", "files that are read after it and win, as /etc/systemd/journald.conf.d/*.conf"),
        Argument("section", "text", "section of an INI file, without brackets"),
        Argument("key", "text", "name of the key; upper and lower case are one", required=True),
        Argument("separator", "text", "what stands between key and value (default =)", choices=("=", "space")),
        Argument("first", "flag", "true: the first value of a key counts, not the last"),
        Argument("default", "text", "the value where the key is not set"),
        *EXPECTATIONS,
    )
    example = '{path: /etc/login.defs, separator: space, key: PASS_MAX_DAYS, max: 365}'
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        yield from expectation_flaws(args)
        for name in ("path", "dropins"):
            if name in args and (reason := refuse_secret(args[name])):
                yield Flaw(name, f"{args[name]} is not read: {reason}")

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(args["path"], *([args["dropins"]] if "dropins" in args else []))

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        files = many_files(host, args["path"])
        files += many_files(host, args["dropins"]) if "dropins" in args else []
        found = [v for path, text in files for v in read_values(path, text, args.get("separator", "="))
                 if v.key.lower() == args["key"].lower() and v.section.lower() == args.get("section", "").lower()]
        if found:
            chosen = found[0] if args.get("first") else found[-1]
            return [Item(chosen.place, wanted(args), f"{chosen.key} {chosen.value}", fits(args, chosen.value))]
        default = args.get("default")
        actual = f"{args['key']} is not set" + (f", which means {default}" if default is not None else "")
        return [Item(args["path"], wanted(args), actual, fits(args, default))]

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        if value is None:
            return None
        between = " " if args.get("separator") == "space" else " = " if args.get("section") is None else "="
        after = "[ \\t]" if args.get("separator") == "space" else "[ \\t]*="
        pattern = f"^[ \\t]*{ere(args['key'])}{after}"
        line = f"{args['key']}{between}{value}"
        path, parts = args["path"], [SET_KEY]
        if "dropins" in args:
            glob = args["dropins"]
            if not is_glob(glob) or not glob.endswith("/*.conf"):
                return None
            own = f"{glob.removesuffix('*.conf')}99-zz-patchctl.conf"
            section = f"[{args['section']}]" if "section" in args else ""
            parts.append(f"for f in {path} {glob}; do if [ -f \"$f\" ] && [ \"$f\" != {quote_sh(own)} ]; "
                         f"then pc_drop_key \"$f\" {quote_sh(pattern)}; fi; done\n")
            if section:
                parts.append(f"mkdir -p {quote_sh(own.rpartition('/')[0])}\nif [ ! -e {quote_sh(own)} ]; then "
                             f"echo {quote_sh(section)} | pc_put {quote_sh(own)}; fi\n")
            parts.append(set_key(own, pattern, line))
            return Remediation("declarative", "".join(parts), (path, own))
        if "section" in args:
            return None
        return Remediation("declarative", SET_KEY + set_key(path, pattern, line), (path,))


CHECK = Config()
