"""selinux: SELinux is enforcing now and at the next boot."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.files import READ, ask_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, NotApplicable, Question, Unreadable
from patchctl.assess.reading.keyvalue import read_values
from patchctl.model.assessment import Item

NOW, CONFIG = "/sys/fs/selinux/enforce", "/etc/selinux/config"


class SELinux(CheckType):
    name = "selinux"
    summary = "SELinux is in a mode now and by its configuration; hosts without SELinux are not applicable."
    arguments = (
        Argument("mode", "text", "the mode", required=True, choices=("enforcing", "permissive")),
        Argument("policy", "text", "the policy, as targeted"),
    )
    example = "{mode: enforcing, policy: targeted}"

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(NOW, CONFIG)

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        now, config = host.get(READ, NOW), host.get(READ, CONFIG)
        if now.missing and config.missing:
            raise NotApplicable("the host has no SELinux")
        if not now.missing and now.text.strip() not in ("0", "1"):
            raise Unreadable(f"{NOW} says neither 0 nor 1")
        mode = "off" if now.missing else "enforcing" if now.text.strip() == "1" else "permissive"
        values = {v.key: v.value for v in read_values(CONFIG, config.text)} if not config.missing else {}
        items = [Item(NOW, args["mode"], mode, mode == args["mode"]),
                 Item(CONFIG, f"SELINUX={args['mode']}", values.get("SELINUX", "not set"),
                      values.get("SELINUX", "").lower() == args["mode"])]
        if "policy" in args:
            items.append(Item(CONFIG, f"SELINUXTYPE={args['policy']}", values.get("SELINUXTYPE", "not set"),
                              values.get("SELINUXTYPE") == args["policy"]))
        return items


CHECK = SELinux()
