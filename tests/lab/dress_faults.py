"""Faults that every dressed host knows, whatever its package manager: their words, and the sh text that makes them."""

from __future__ import annotations

COMMON = {
    "repo-down": ("", "the sources point at a port that nobody listens on"),
    "disk-full": ("", "no space in /var"),
    "edit-config": ("", "the administrator changed /etc/lab-config.conf, whose package has a new version pending"),
    "veto": ("[REASON]", "the owner's /etc/patchctl/hold"),
}
"""repo-down is made by each dress's own text: it knows where the sources stand."""

COMMON_SCRIPT = r"""
set -e
saved=/run/lab-faults; mkdir -p $saved
case $1 in
disk-full)
    mkdir -p $saved/var $saved/var-below
    mount -t tmpfs -o mode=755 lab-full $saved/var
    cp -a /var/. $saved/var/
    mount --bind /var $saved/var-below
    mount -o remount,size=$(( $(du -sk $saved/var | cut -f1) + 64 ))k $saved/var
    mount --bind $saved/var /var
    dd if=/dev/zero of=/var/lab-filler bs=4k 2>/dev/null || : ; exit ;;
edit-config) echo '# changed by the administrator' >> /etc/lab-config.conf; exit ;;
veto) mkdir -p /etc/patchctl; echo "${2:-the owner says no}" > /etc/patchctl/hold; exit ;;
clear)
    if grep -q '^lab-full /var ' /proc/mounts; then
        rm -f /var/lab-filler; umount -l /var; cp -a $saved/var/. /var/; umount -l $saved/var $saved/var-below
    fi
    rm -f /etc/patchctl/hold; : > /var/lib/lab-half ;;
esac
"""
"""Comes before the dress's own text, with the same arguments; `clear` goes on to that one."""
