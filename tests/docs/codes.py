"""Finds every error code in the source, by the shape of the calls that make errors (syntax tree, not text).

`python3 -m tests.docs.codes` prints them with place and message, for whoever writes docs/reference/error-codes.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# Callables whose first or second text is a code; a class that ends in Error counts too.
MAKERS = {"HostFailure", "Problem", "ChainProblem", "Signature", "Diagnosis", "fail", "problem", "note", "_failure",
          "_words", "_host_note", "stop"}
LATER = {"Diagnosis"}  # their first text is a class


@dataclass(frozen=True)
class Made:
    code: str
    maker: str
    message: str
    place: str


def find_codes(folder: Path = ROOT / "patchctl") -> Iterator[Made]:
    """Yield every literal error code below the folder, with what makes it and the message's text."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Dict):
                yield from _code_of_dict(node, f"{path.relative_to(ROOT)}:{node.lineno}")
            if isinstance(node, ast.Call):
                name = _name(node.func)
                if name in MAKERS or (name.endswith("Error") and name[:1].isupper()):
                    yield from _codes_of(node, name, f"{path.relative_to(ROOT)}:{node.lineno}")


def _codes_of(node: ast.Call, name: str, place: str) -> Iterator[Made]:
    """Yield the code among the first arguments: a kebab-case text that another argument, the message, follows."""
    keywords = {word.arg: word.value for word in node.keywords}
    arguments = [*node.args, *(value for key, value in keywords.items() if key in ("code", "message"))]
    for index, argument in enumerate(arguments[:5]):
        if index == 0 and name in LATER:
            continue
        words = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
        found = [w.value for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)]
        if found and all(CODE.fullmatch(text) for text in found) and index + 1 < len(arguments):
            message = ast.unparse(arguments[index + 1])
            yield from (Made(text, name, message, place) for text in found)
            return


def _code_of_dict(node: ast.Dict, place: str) -> Iterator[Made]:
    """Yield the code of an error that is written as a mapping."""
    pairs = zip(node.keys, node.values, strict=True)
    values = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
    code, message = values.get("code"), values.get("message")
    if isinstance(code, ast.Constant) and isinstance(code.value, str) and message is not None:
        yield Made(code.value, "dict", ast.unparse(message), place)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


if __name__ == "__main__":
    for made in sorted(find_codes(), key=lambda m: m.code):
        print(f"{made.code:28} {made.maker:18} {made.place:45} {made.message[:110]}")
