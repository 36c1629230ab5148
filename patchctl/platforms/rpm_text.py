"""What the texts for hosts with rpm have in common, whatever installs there: what a cut transaction leaves behind."""

from __future__ import annotations

# By install time: the last version stays.
TWICE = (
    "rpm -qa --qf '%{INSTALLTIME}|%{NAME}.%{ARCH}|%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}|[%{PROVIDENAME},]\\n' | "
    "grep -v -E '^[0-9]+\\|(gpg-pubkey|kernel)|installonlypkg\\(|multiversion\\(' | sort -t '|' -k1,1n | "
    "awk -F'|' '$2 in last { print last[$2] } { last[$2] = $3 }'"
)
"""Prints the older version of every package that is there in two versions though it may not (a transaction was cut)."""

REMOVE_TWICE = (
    f"for pc_old in $({TWICE}); do rpm -e --nodeps \"$pc_old\" </dev/null || echo 'patchctl: failed'; done"
)
"""What the remedy rpm-remove-duplicates does."""
