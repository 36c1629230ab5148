"""certificate: certificates in PEM files are valid, for a while yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cryptography import x509

from patchctl.assess.asking.files import ask_files, is_glob, many_files, refuse_secret
from patchctl.assess.asking.system import CLOCK
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question, Unreadable
from patchctl.model.assessment import Item

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


class Certificate(CheckType):
    name = "certificate"
    summary = "Every certificate of PEM files is valid now, and for some days yet."
    arguments = (
        Argument("path", "glob", "PEM file or glob; private keys are never read", required=True),
        Argument("days", "whole", "valid for at least this many days (default 0)"),
        Argument("optional", "flag", "true: it is fine if there is no such file"),
    )
    example = "{path: /etc/ssl/private-ca/*.crt, days: 30}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if reason := refuse_secret(args["path"]):
            yield Flaw("path", f"{args['path']} is not read: {reason}", "name the file of the certificate")

    def questions(self, args: Args) -> Sequence[Question]:
        return [*ask_files(args["path"]), Question(CLOCK)]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        clock = host.get(CLOCK).text.strip()
        if not clock.isdigit():
            raise Unreadable("the host's clock was not told")
        now, days, items = int(clock), args.get("days", 0), []
        files = many_files(host, args["path"])
        for path, text in files:
            found = _PEM.findall(text)
            if not found:
                items.append(Item(path, "a certificate", "no certificate in it", None))
            items += [_judged(path, pem, now, days) for pem in found]
        if not files:
            optional = bool(args.get("optional", is_glob(args["path"])))
            items.append(Item(args["path"], "a certificate", "no such file", optional))
        return items


def _judged(path: str, pem: str, now: int, days: int) -> Item:
    expected = f"valid for {days} days at least" if days else "valid"
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        name = certificate.subject.rfc4514_string()
    except ValueError:
        return Item(path, expected, "a certificate that cannot be read", None)
    left = (end.timestamp() - now) / 86400
    ok = left > 0 and left >= days and start.timestamp() <= now
    return Item(path, expected, f"{name}: {start:%Y-%m-%d} to {end:%Y-%m-%d}", ok)


CHECK = Certificate()
