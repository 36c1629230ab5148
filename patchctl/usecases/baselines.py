"""Finds and compiles baselines: a name, a file, or FILE#PROFILE, with tailoring and parameters.

A name is looked for in the project's baselines/ first, then among those that come with patchctl.

A baseline that was read, checked and compiled once lies in the cache under the hash of the file's bytes: the next run
needs neither the YAML reader nor the kinds of content, which would be most of what a nightly run costs here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

import patchctl
from patchctl.assess.content.registry import kind_of
from patchctl.assess.contract import Baseline, Kind, Request
from patchctl.model.errors import PatchctlError, UsageError
from patchctl.model.text import one_line
from patchctl.usecases.compiled import cache_folder, cache_key, load_or_compile

SUFFIXES = (".yaml", ".yml", ".xml")
MAX_CACHED = 256 * 1024 * 1024
"""Bytes of a file that are looked at for the cache; usecases/content.py refuses what is larger."""


class Content(Struct, frozen=True):
    """A content file that was found: where it is, what is in it, and the profile that was asked for."""

    reference: str
    path: Path
    data: bytes
    kind: Kind
    profile: str = ""

    @property
    def name(self) -> str:
        """Return what the baseline is called in output: the file's name without ending, and the profile's."""
        return _name(self.path, self.profile)


def find_content(reference: str, folder: Path, parameters: Mapping[str, str] | None = None) -> Content:
    """Given NAME, FILE, NAME#PROFILE or FILE#PROFILE, return the content. `folder`: the project's baselines.

    Raise UsageError when there is no such file, it cannot be read, or no kind of baseline reads it; DocumentsError
    for an invalid baseline of our own.
    """
    from patchctl.usecases.content import read_content

    path, profile = _locate(reference, folder)
    data = read_content(path, values=parameters)
    return Content(reference, path, data, kind_of(str(path), data), profile)


def load_baseline(
    reference: str, folder: Path, *, tailoring: bytes = b"", parameters: Mapping[str, str] | None = None,
    write: bool = True,
) -> Baseline:  # fmt: skip
    """Find, read and compile a baseline, or take it from the cache. Raise as find_content, and for what is wrong in it.

    `parameters` replace defaults; `write=False` leaves nothing behind.
    """
    path, profile = _locate(reference, folder)
    values = dict(parameters or {})
    name = _name(path, profile)

    def compile_it() -> Baseline:
        content = find_content(reference, folder, parameters)
        return content.kind.compile(content.data, str(path), Request(name, profile, tailoring, values))

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_CACHED)
    except OSError:
        return compile_it()  # which tells what is wrong with the file
    key = cache_key(
        data, str(path).encode(), name.encode(), profile.encode(), tailoring, repr(sorted(values.items())).encode()
    )
    return load_or_compile(key, compile_it, cache_folder(), write=write)


def load_baselines(
    references: Sequence[str], folder: Path, *, tailoring: Path | None = None,
    parameters: Mapping[str, str] | None = None, write: bool = True,
) -> list[Baseline]:  # fmt: skip
    """Return the baselines in the order given. Raise UsageError when two have the same name, or nothing is tailored."""
    tailored = _read(tailoring) if tailoring is not None else b""
    if tailoring is not None and not tailored.strip():
        raise UsageError("no-tailoring", f"{tailoring} is empty: it tailors nothing", "name a tailoring file")
    found: dict[str, Baseline] = {}
    for reference in references:
        baseline = load_baseline(reference, folder, tailoring=tailored, parameters=parameters, write=write)
        if baseline.name in found:
            raise UsageError("same-baseline", f"two baselines are called {baseline.name}", "name each one once")
        found[baseline.name] = baseline
    return list(found.values())


def list_contents(folder: Path) -> Iterator[Content]:
    """Give every file of the baselines folder that a kind of baseline reads, then those that come with patchctl."""
    from patchctl.usecases.content import read_content

    seen: set[str] = set()
    for place in (folder, shipped_folder()):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.suffix not in SUFFIXES or not path.is_file() or path.name.startswith(".") or path.stem in seen:
                continue
            seen.add(path.stem)
            try:
                data = read_content(path)
                kind = kind_of(str(path), data)
            except PatchctlError:
                continue
            yield Content(path.name.removesuffix(path.suffix), path, data, kind)


def shipped_folder() -> Path:
    """Return where the baselines are that come with patchctl: inside the installed package, else in its checkout."""
    package = Path(patchctl.__file__).resolve().parent
    inside = package / "shipped" / "baselines"  # put there by pyproject.toml, when the wheel is built
    return inside if inside.is_dir() else package.parent / "baselines"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {path}: {error.strerror}", "name a readable file") from error


def _locate(reference: str, folder: Path) -> tuple[Path, str]:
    """Return the file and the profile that are meant. Raise UsageError when there is no such file."""
    path = _path_of(reference, folder)
    if path is not None:
        return path, ""
    file, sign, profile = reference.rpartition("#")
    path = _path_of(file, folder) if sign else None
    if path is None:
        raise _not_found(reference, folder)
    return path, profile


def _name(path: Path, profile: str) -> str:
    stem = path.name.removesuffix(path.suffix)
    return f"{stem}#{profile}" if profile else stem


def _path_of(text: str, folder: Path) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser()
    candidates = [path]
    if "/" not in text:
        for place in (folder, shipped_folder()):
            candidates += [place / text, *(place / f"{text}{suffix}" for suffix in SUFFIXES)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _not_found(reference: str, folder: Path) -> UsageError:
    file = reference.partition("#")[0]
    places = [place for place in (folder, shipped_folder()) if place.is_dir()]
    known = sorted({p.stem for place in places for p in place.glob("*") if p.suffix in SUFFIXES})
    near = difflib.get_close_matches(Path(file).stem, known, n=1)
    hint = f"did you mean {near[0]}?" if near else (
        f"baselines there: {', '.join(known)}" if known else f"there is none in {folder}; name a file"
    )  # fmt: skip
    return UsageError("no-baseline", f"there is no baseline {reference!r}", hint)


def content_warnings(baselines: Sequence[Baseline]) -> list[str]:
    """Return what baselines say of their content that is not as it should be, each with the baseline's name."""
    return [f"{b.name}: {one_line(text)}" for b in baselines for text in getattr(b, "warnings", ())]
