"""cron: jobs in the system's crontabs: one that must be there, or a pattern that none may match."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.files import ask_files, many_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Question
from patchctl.assess.matching import found_in
from patchctl.assess.reading.cron import read_jobs
from patchctl.model.assessment import Item

PATHS = ("/etc/crontab", "/etc/cron.d/*")


class Cron(CheckType):
    name = "cron"
    summary = "A job of /etc/crontab or /etc/cron.d matches a pattern, or none does."
    arguments = (
        Argument("job", "pattern", "a regular expression on the command of a job", required=True),
        Argument("present", "flag", "there is such a job, or none", required=True),
        Argument("user", "text", "only jobs that run as this user"),
    )
    example = "{job: /tmp/, present: false, user: root}"

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(*PATHS)

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        jobs = [j for path in PATHS for name, text in many_files(host, path) for j in read_jobs(name, text)]
        found = [j for j in jobs if found_in(args["job"], j.command) and args.get("user", j.user) == j.user]
        expected = f"{'a' if args['present'] else 'no'} job matching {args['job']}"
        if not found:
            return [Item("crontabs", expected, f"none of {len(jobs)} jobs", not args["present"])]
        return [Item(j.place, expected, f"{j.user}: {j.command}", args["present"]) for j in found]


CHECK = Cron()
