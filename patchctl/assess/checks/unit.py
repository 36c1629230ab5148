"""unit: a systemd unit is enabled, active, masked or absent, or a property of it has a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.units import UNITS, unit_properties
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question, Unreadable
from patchctl.assess.matching import EXPECTATIONS, NAMES, expectation_flaws, fits, wanted
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

ON = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated")
OFF = ("disabled", "masked", "masked-runtime", "static", "indirect", "bad", "")
ACTIVE = ("active", "reloading", "activating")


class Unit(CheckType):
    name = "unit"
    summary = "A systemd unit is enabled, active, masked or stopped, or a property of it has a value."
    arguments = (
        Argument("name", "text", "unit with its suffix, as ssh.service", required=True),
        Argument("enabled", "flag", "it starts at boot, or does not"),
        Argument("active", "flag", "it runs now, or does not"),
        Argument("masked", "flag", "it cannot be started, or can"),
        Argument("stopped", "flag", "true: neither enabled nor active; a unit that is not there is off"),
        Argument("property", "text", "name of a property of `systemctl show`; judge it with:"),
        *(a for a in EXPECTATIONS if a.name != "absent"),
    )
    example = "{name: rsync.service, stopped: true}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|target|mount|path|automount)", args["name"]):
            yield Flaw("name", f"{args['name']!r} is no name of a unit", f"write {args['name']}.service")
        elif "@." in args["name"]:
            yield Flaw("name", f"{args['name']!r} is a template, which has no state",
                       f"name an instance: {args['name'].replace('@.', '@tty1.')}")
        if "property" in args:
            if not re.fullmatch(r"[A-Za-z0-9]+", args["property"]):
                yield Flaw("property", f"{args['property']!r} is no name of a property")
            yield from expectation_flaws(args)
        elif NAMES & args.keys():
            yield Flaw("", "a value is expected, but of no property", "add property: NAME")
        elif not {"enabled", "active", "masked", "stopped"} & args.keys():
            yield Flaw("", "nothing is expected of the unit", "add enabled, active, masked, stopped or property",
                       "missing-argument")

    def questions(self, args: Args) -> Sequence[Question]:
        asked = f"{args['name']} {args['property']}" if "property" in args else args["name"]
        return [Question(UNITS, asked)]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        unit, items = args["name"], []
        found = unit_properties(host, unit)
        load, active, file = found["LoadState"], found["ActiveState"], found.get("UnitFileState", "")
        there = load != "not-found"
        actual = f"{file or 'no unit file'}, {active}" if there else "no such unit"
        masked = load == "masked" or file.startswith("masked")
        if "stopped" in args:
            off = not there or (active not in ACTIVE and (masked or file in OFF))
            items.append(Item(unit, "neither enabled nor active" if args["stopped"] else "enabled or active", actual,
                              off is args["stopped"]))
        if "enabled" in args:
            on = there and not masked and file in ON
            items.append(Item(unit, "enabled" if args["enabled"] else "not enabled", actual, on is args["enabled"]))
        if "active" in args:
            items.append(Item(unit, "active" if args["active"] else "not active", actual,
                              (active in ACTIVE) is args["active"]))
        if "masked" in args:
            items.append(Item(unit, "masked" if args["masked"] else "not masked", actual, masked is args["masked"]))
        if "property" in args:
            name = args["property"]
            if name not in found:
                raise Unreadable(f"{unit}: systemctl show tells no {name}")
            items.append(Item(f"{unit} {name}", wanted(args), found[name], fits(args, found[name])))
        return items

    def repair(self, args: Args) -> Remediation | None:
        if "property" in args or args.get("stopped") is False:
            return None
        unit, lines = quote_sh(args["name"]), []
        there = f"[ \"$(systemctl show -p LoadState --value -- {unit})\" != not-found ]"
        if args.get("stopped"):
            lines.append(f"if {there}; then systemctl -q disable --now -- {unit} || systemctl stop -- {unit}; fi")
            lines.append(f"if systemctl -q is-active -- {unit} || systemctl -q is-enabled -- {unit}; "
                         f"then systemctl -q mask --now -- {unit}; fi")
        if "masked" in args:
            lines.append(f"systemctl -q mask --now -- {unit}" if args["masked"] else f"systemctl -q unmask -- {unit}")
        if "enabled" in args:
            lines.append(f"systemctl -q unmask -- {unit}; systemctl -q enable -- {unit}" if args["enabled"]
                         else f"if {there}; then systemctl -q disable -- {unit}; fi")
        if "active" in args:
            lines.append(f"systemctl {'start' if args['active'] else 'stop'} -- {unit}")
        return Remediation("declarative", "\n".join(lines) + "\n", disruption=f"starts or stops {args['name']}")


CHECK = Unit()
