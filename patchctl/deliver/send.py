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


def drop_staged(run: RunOnHost, directory: str) -> None:
    """Remove the directory."""
    run(f"rm -rf {quote_sh(directory)}", None, 65536)


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


def send_artefacts(
    run: RunOnHost, directory: str, artefacts: Sequence[Artefact], cache: ArtefactCache, nonce: str
) -> dict[str, ArtefactError]:
    """Send artefacts from the cache; each appears under its name only after the host itself found the right hash.

    Return the errors by SHA-256: not in the cache, no room on the host, another hash.
    """
    errors: dict[str, ArtefactError] = {}
    sent: list[Artefact] = []
    for artefact in artefacts:
        try:
            part = quote_sh(f"{directory}/{file_name(artefact)}.part")
            run(f"dd of={part} bs=65536", cache.read(artefact.sha256), _BLOCK)
            sent.append(artefact)
        except ArtefactError as error:
            errors[artefact.sha256] = error
    checks = "\n".join(f"check {artefact.sha256} {quote_sh(file_name(artefact))}" for artefact in sent)
    output = run(f"""check() {{
    sum=$(sha256sum < "$2.part" 2>/dev/null)
    [ "${{sum%% *}}" = "$1" ] && {{ sync "$2.part" 2>/dev/null || sync; }} && mv -f "$2.part" "$2" &&
        printf '\\n{nonce} have %s\\n' "$1"
}}
cd {quote_sh(directory)} && {{
{checks}
rm -f ./*.part; }}
""", None, _BLOCK) if sent else b""
    arrived = {line.rpartition(" ")[2] for line in decode(output).splitlines() if line.startswith(f"{nonce} have ")}
    for artefact in sent:
        if artefact.sha256 not in arrived:
            errors[artefact.sha256] = ArtefactError(
                "artefact-not-staged", f"{artefact.filename} did not arrive whole", "check the host's free space")
    return errors


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
