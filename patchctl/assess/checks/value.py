"""value: a value inside a JSON, YAML or XML file, by its path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from lxml import etree

from patchctl.assess.asking.files import ask_files, one_file, refuse_secret
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question, Unreadable
from patchctl.assess.matching import EXPECTATIONS, expectation_flaws, fits, wanted
from patchctl.model.assessment import Item
from patchctl.model.text import one_line


class Value(CheckType):
    name = "value"
    summary = "A value inside a JSON, YAML or XML file, found by its path, is as expected."
    arguments = (
        Argument("path", "path", "the file", required=True),
        Argument("format", "text", "how to read it", required=True, choices=("json", "yaml", "xml")),
        Argument("at", "texts", "keys and list positions from the top, as [spec, containers, 0, image]; for XML: "
                 "one XPath", required=True),
        *EXPECTATIONS,
    )
    example = '{path: /etc/docker/daemon.json, format: json, at: [icc], equals: "false"}'

    def flaws(self, args: Args) -> Iterable[Flaw]:
        yield from expectation_flaws(args)
        if reason := refuse_secret(args["path"]):
            yield Flaw("path", f"{args['path']} is not read: {reason}")
        if args["format"] == "xml":
            try:
                etree.XPath(args["at"][0])
            except etree.XPathSyntaxError as error:
                yield Flaw("at", f"no XPath: {error}")

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(args["path"])

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        answer = one_file(host, args["path"])
        source = f"{args['path']} {'.'.join(args['at'])}"
        if answer.missing:
            return [Item(source, wanted(args), answer.text, fits(args, None))]
        values = _xml(args, answer.text) if args["format"] == "xml" else [_plain(args, answer.text)]
        return [Item(source, wanted(args), "not set" if v is None else v, fits(args, v)) for v in values or [None]]


def _plain(args: Args, text: str) -> str | None:
    try:
        node: Any = json.loads(text) if args["format"] == "json" else _load_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise Unreadable(f"{args['path']} is no {args['format'].upper()}: {one_line(str(error), 120)}") from error
    for step in args["at"]:
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    if node is None:
        return None
    return node if isinstance(node, str) else json.dumps(node, sort_keys=True, default=str)


def _load_yaml(text: str) -> Any:
    """Read YAML without aliases: a host's file must not blow up here."""
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.events.AliasEvent):
            raise yaml.YAMLError("it has aliases, which are not followed")
    return yaml.safe_load(text)


def _xml(args: Args, text: str) -> list[str | None]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
        found = root.xpath(args["at"][0])
    except (etree.XMLSyntaxError, etree.XPathError, ValueError) as error:
        raise Unreadable(f"{args['path']} is no XML: {one_line(str(error), 120)}") from error
    if next(root.iter(etree.Entity), None) is not None:
        raise Unreadable(f"{args['path']}: it has entities, which are not followed")
    if not isinstance(found, list):
        return [str(found)]
    return ["".join(n.itertext()) if isinstance(n, etree._Element) else str(n) for n in found]


CHECK = Value()
