"""Puts artefacts from the controller's cache into a directory on a host, and reads them back from there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from patchctl.deliver.cache import CHUNK, ArtefactCache, ArtefactError
from patchctl.model.facts import Artefact
from patchctl.model.text import decode, one_line, quote_sh

RunOnHost = Callable[[str, "Iterable[bytes] | None", int], bytes]
"""Runs sh text as root on the host: (script, bytes for its standard input, cap of the output in bytes) -> its output,
whatever its exit status. Given bytes, the script is one simple command. Raise HostError when its end was not seen."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:%-]{0,250}")
_BLOCK = 1_048_576
_BLOCKS = 16


def list_staged(run: RunOnHost, directory: str, artefacts: Sequence[Artefact], nonce: str) -> set[str]:
    """Make the directory (0700, the runner's own) and return the SHA-256 of those artefacts that are whole in it.

    Files left from a cut transfer are removed. Raise ArtefactError when the directory cannot be used.
    """
    checks = "\n".join(
        f"check {artefact.sha256} {quote_sh(file_name(artefact))}" for artefact in artefacts if file_name(artefact)
    )
    output = run(f"""stage() {{
umask 077
[ ! -h {quote_sh(directory)} ] && mkdir -p {quote_sh(directory)} 2>&1 && cd {quote_sh(directory)} && [ -O . ] &&
    chmod 0700 . && printf x > .room || {{
    printf '\\n{nonce} no\\n'; return; }}
rm -f ./*.part .room
check() {{
    sum=$(sha256sum < "$2" 2>/dev/null)
    [ "${{sum%% *}}" != "$1" ] || printf '\\n{nonce} have %s\\n' "$1"
}}
{checks}
printf '\\n{nonce} end\\n'
}}
stage </dev/null
""", None, _BLOCK)
    lines = decode(output).splitlines()
    if f"{nonce} end" not in lines:
        words = one_line(" ".join(line for line in lines if not line.startswith(nonce))) or "no answer"
        raise ArtefactError("disk-staging", f"cannot use {directory}: {words}", "check the file system's free space")
    return {line.rpartition(" ")[2] for line in lines if line.startswith(f"{nonce} have ")}


def send_artefact(run: RunOnHost, directory: str, artefact: Artefact, cache: ArtefactCache, nonce: str) -> None:
    """Send one artefact; it appears under its name only after the host itself found the right hash.

    Raise ArtefactError when the cache does not have it, the host has no room or the hash differs.
    """
    name = file_name(artefact)
    part = quote_sh(f"{directory}/{name}.part")
    run(f"dd of={part} bs=65536", cache.read(artefact.sha256), _BLOCK)
    output = run(f"""sum=$(sha256sum < {part})
sync {part} 2>/dev/null || sync
[ "${{sum%% *}}" = {artefact.sha256} ] && mv -f {part} {quote_sh(f"{directory}/{name}")} && printf '\\n{nonce} have\\n'
[ ! -e {part} ] || rm -f {part}
""", None, _BLOCK)
    if f"{nonce} have" not in decode(output).splitlines():
        raise ArtefactError("artefact-not-staged", f"{name} did not arrive whole", "check the host's free space")


def read_back(run: RunOnHost, directory: str, artefact: Artefact, nonce: str) -> Iterator[bytes]:
    """Yield the content of a staged artefact, in pieces of at most 16 MiB. Raise ArtefactError when it is cut."""
    path = quote_sh(f"{directory}/{file_name(artefact)}")
    for block in range(0, artefact.size // _BLOCK + 1, _BLOCKS):
        output = run(
            f"printf '\\n{nonce} begin\\n'; dd if={path} bs={_BLOCK} skip={block} count={_BLOCKS} 2>/dev/null; "
            f"printf '\\n{nonce} end\\n'\n", None, (_BLOCKS + 1) * _BLOCK,
        )
        begin, end = f"\n{nonce} begin\n".encode(), f"\n{nonce} end\n".encode()
        start, stop = output.find(begin), output.rfind(end)
        if start < 0 or stop < 0:
            raise ArtefactError("artefact-download", f"reading {artefact.filename} back was cut")
        data = memoryview(output)[start + len(begin):stop]
        for offset in range(0, len(data), CHUNK):
            yield bytes(data[offset:offset + CHUNK])


def file_name(artefact: Artefact) -> str:
    """Return the artefact's file name. Raise ArtefactError for one that could leave the directory or be an option."""
    if not _FILE.fullmatch(artefact.filename):
        raise ArtefactError("artefact-name", f"{artefact.filename!r} cannot be a file name on a host")
    return artefact.filename
