"""apparmor: AppArmor is on, and enough of its profiles are enforced."""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.assess.asking.system import APPARMOR
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Question, Unreadable
from patchctl.model.assessment import Item


class AppArmor(CheckType):
    name = "apparmor"
    summary = "AppArmor is enabled in the kernel, and profiles are loaded and enforced."
    arguments = (
        Argument("enforced", "whole", "at least this many profiles are enforced (default 1)"),
        Argument("complain", "flag", "false: no profile only complains"),
    )
    example = "{enforced: 1, complain: false}"

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(APPARMOR, "enabled"), Question(APPARMOR, "profiles")]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        enabled = host.get(APPARMOR, "enabled")
        on = not enabled.missing and enabled.text.strip() == "Y"
        if not enabled.missing and enabled.text.strip() not in ("Y", "N"):
            raise Unreadable(f"AppArmor: enabled is neither Y nor N: {enabled.text.strip()!r}")
        items = [Item("AppArmor", "enabled in the kernel", "enabled" if on else "not enabled", on)]
        if not on:
            return items
        said = host.get(APPARMOR, "profiles")
        if said.missing:
            raise Unreadable(f"AppArmor: {said.text}")
        found = [re.fullmatch(r".+ \((\w+)\)", line) for line in said.lines]
        modes = [m[1] for m in found if m]
        if len(modes) < len(found):
            raise Unreadable("AppArmor: a line of the list of profiles is none")
        least = args.get("enforced", 1)
        items.append(Item("AppArmor profiles", f"at least {least} enforced", f"{modes.count('enforce')} enforced",
                          modes.count("enforce") >= least))
        if args.get("complain") is False:
            items.append(Item("AppArmor profiles", "none only complains", f"{modes.count('complain')} complain",
                              not modes.count("complain")))
        return items


CHECK = AppArmor()
