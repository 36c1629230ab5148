"""Finds and compiles baselines: a name under baselines/, a file, or FILE#PROFILE, with tailoring and parameters."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from patchctl.assess.content.registry import kind_of
from patchctl.assess.contract import Baseline, Kind, Request
from patchctl.model.errors import PatchctlError, UsageError
from patchctl.usecases.compiled import cache_folder, cache_key, load_or_compile
from patchctl.usecases.content import read_content

SUFFIXES = (".yaml", ".yml", ".xml")


@dataclass(frozen=True, slots=True)
class Content:
    """A content file that was found: where it is, what is in it, and the profile that was asked for."""

    reference: str
    path: Path
    data: bytes = field(repr=False)
    kind: Kind
    profile: str = ""

    @property
    def name(self) -> str:
        """Return what the baseline is called in output: the file's name without ending, and the profile's."""
        stem = self.path.name.removesuffix(self.path.suffix)
        return f"{stem}#{self.profile}" if self.profile else stem


def find_content(reference: str, folder: Path, parameters: Mapping[str, str] | None = None) -> Content:
    """Given NAME, FILE, NAME#PROFILE or FILE#PROFILE, return the content. `folder`: the project's baselines.

    Raise UsageError when there is no such file, it cannot be read, or no kind of baseline reads it; DocumentsError
    for an invalid baseline of our own.
    """
    whole = _path_of(reference, folder)
    path, profile = whole, ""
    if whole is None:
        file, sign, profile = reference.rpartition("#")
        path = _path_of(file, folder) if sign else None
    if path is None:
        raise _not_found(reference, folder)
    data = read_content(path, values=parameters)
    return Content(reference, path, data, kind_of(str(path), data), profile)


def load_baseline(
    content: Content, *, tailoring: bytes = b"", parameters: Mapping[str, str] | None = None, write: bool = True
) -> Baseline:
    """Compile the content, or take it from the cache. Raise DocumentsError or UsageError for what is wrong in it."""
    values = dict(parameters or {})
    request = Request(content.name, content.profile, tailoring, values)
    key = cache_key(
        content.kind.name.encode(), content.data, str(content.path).encode(), content.name.encode(),
        content.profile.encode(), tailoring, repr(sorted(values.items())).encode(),
    )  # fmt: skip
    return load_or_compile(
        key, lambda: content.kind.compile(content.data, str(content.path), request), cache_folder(), write=write
    )


def load_baselines(
    references: Sequence[str], folder: Path, *, tailoring: Path | None = None,
    parameters: Mapping[str, str] | None = None, write: bool = True,
) -> list[Baseline]:  # fmt: skip
    """Return the baselines in the order given. Raise UsageError when two have the same name."""
    tailored = _read(tailoring) if tailoring is not None else b""
    found: dict[str, Baseline] = {}
    for reference in references:
        content = find_content(reference, folder, parameters)
        baseline = load_baseline(content, tailoring=tailored, parameters=parameters, write=write)
        if baseline.name in found:
            raise UsageError("same-baseline", f"two baselines are called {baseline.name}", "name each one once")
        found[baseline.name] = baseline
    return list(found.values())


def list_contents(folder: Path) -> Iterator[Content]:
    """Give every file of the baselines folder that a kind of baseline reads."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."):
            try:
                data = read_content(path)
                kind = kind_of(str(path), data)
            except PatchctlError:
                continue
            yield Content(path.name.removesuffix(path.suffix), path, data, kind)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {path}: {error.strerror}", "name a readable file") from error


def _path_of(text: str, folder: Path) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser()
    candidates = [path]
    if "/" not in text:
        candidates += [folder / text, *(folder / f"{text}{suffix}" for suffix in SUFFIXES)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _not_found(reference: str, folder: Path) -> UsageError:
    file = reference.partition("#")[0]
    known = sorted(p.stem for p in folder.glob("*") if p.suffix in SUFFIXES) if folder.is_dir() else []
    near = difflib.get_close_matches(Path(file).stem, known, n=1)
    hint = f"did you mean {near[0]}?" if near else (
        f"baselines there: {', '.join(known)}" if known else f"there is none in {folder}; name a file"
    )  # fmt: skip
    return UsageError("no-baseline", f"there is no baseline {reference!r}", hint)
