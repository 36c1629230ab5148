"""Where an SQLite store may live: not on a network file system, readable by its owner only."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from patchctl.model.errors import StoreChoiceError, StoreError

NETWORK_FILE_SYSTEMS = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
    "ocfs2", "gfs2", "vboxsf", "vmhgfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone",
    "fuse.vmhgfs-fuse", "fuse.davfs2", "davfs",
})  # fmt: skip
"""SQLite's WAL needs shared memory and byte-range locks between processes, which these do not give."""


def file_system_of(path: str, mountinfo: str) -> tuple[str, str]:
    """Given an absolute, resolved path and the text of /proc/self/mountinfo, return (mount point, type).

    The last of the longest matching mount points counts, as later mounts cover earlier ones. ("", "") = not found.
    Format: proc(5), mount point in field 5 with octal escapes, type behind the " - " separator.
    """
    best = ("", "")
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 5:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), fields[4])
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, right.split(" ")[0])
    return best


def check_file_system(path: Path, mountinfo: str) -> None:
    """Raise StoreError if `path` lies on a network file system."""
    mount, kind = file_system_of(str(path), mountinfo)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreChoiceError(
            "network-file-system",
            f"{path} is on {mount} ({kind}): SQLite would lose or damage records there",
            "use a local disk (--state sqlite:////var/lib/patchctl/state.db) or PostgreSQL (--state postgresql://...)",
        )


def read_mountinfo() -> str:
    """Return the kernel's mount table of this process ("" where there is no /proc)."""
    try:
        return Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def prepare_file(path: Path) -> bool:
    """Make the folder (0700) and an empty database file (0600); return whether the file is new.

    Raise StoreError when that is not possible, or when others than the owner can read or write an existing file:
    the store holds what is installed where, and the record that must not be edited.
    """
    try:
        folder = path.parent
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            check_mode(path)
            return path.stat().st_size == 0
    except OSError as error:
        raise StoreError("store-path", f"{path}: {error.strerror}", "choose another place with --state") from error
    return True


def check_mode(path: Path) -> None:
    """Raise StoreError when group or others may read or write the file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise StoreError(
            "store-mode", f"{path} has mode {mode:04o}: others can read or change it", f"run: chmod 600 {path}"
        )
