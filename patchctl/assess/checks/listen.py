"""listen: what listens on the network: nothing on a port, or nothing but what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.frames import said_by
from patchctl.assess.asking.system import LISTEN
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question, Unreadable
from patchctl.assess.reading.sockets import read_sockets
from patchctl.model.assessment import Item


class Listen(CheckType):
    name = "listen"
    summary = "Nothing listens on a port, something does, or nothing listens but what is allowed; loopback is free."
    arguments = (
        Argument("protocol", "text", "tcp or udp (default tcp)", choices=("tcp", "udp")),
        Argument("port", "whole", "the port to look at"),
        Argument("present", "flag", "with port: something listens there, or nothing does (default false)"),
        Argument("allow", "texts", "ports or names of processes that may listen, and no others"),
        Argument("loopback", "flag", "true: sockets on 127.0.0.0/8 and ::1 count too (default false)"),
    )
    example = "{protocol: tcp, port: 23}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if ("port" in args) == ("allow" in args):
            yield Flaw("", "say either port or allow", code="missing-argument")

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(LISTEN, args.get("protocol", "tcp"))]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        protocol = args.get("protocol", "tcp")
        said = said_by(host, LISTEN, protocol)
        if said.missing:
            raise Unreadable(f"listening sockets: {said.text}")
        try:
            sockets = [s for s in read_sockets(said.text) if args.get("loopback") or not s.loopback]
        except ValueError as why:
            raise Unreadable(f"listening sockets: {why}") from why
        if "port" in args:
            found = [s for s in sockets if s.port == args["port"]]
            wanted = args.get("present", False)
            return [Item(f"{protocol} port {args['port']}", "something listens" if wanted else "nothing listens",
                         ", ".join(f"{s.process or '?'} on {s.address}" for s in found) or "nothing listens",
                         bool(found) is wanted)]
        allowed = args["allow"]
        expected = f"only {', '.join(allowed)}"
        bad = [Item(f"{protocol} {s.address}:{s.port}", expected, s.process or "an unnamed process", False)
               for s in sockets if str(s.port) not in allowed and not (s.process and s.process in allowed)]
        return bad or [Item(f"{protocol} sockets", expected, f"{len(sockets)} listen, all allowed", True)]


CHECK = Listen()
