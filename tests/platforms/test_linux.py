"""What every Linux tells alike, where the captured cases of the platforms do not reach."""

from __future__ import annotations

from patchctl.model.facts import FileSystem
from patchctl.platforms.linux import _file_systems

DF = """\
Filesystem     1024-blocks    Used Available Capacity Mounted on
/dev/sda1             9000    4000      5000      45% /
/dev/sdb1              100       0       100       0% /srv/empty and new
/dev/sdc1               50      50        -3     100% /full
tmpfs                  800       0       800       0% /run/user/0
tmpfs                  800       1       799       1% /tmp
overlay                  0       0         0       -  /var/lib/x
what is this
"""


def test_real_file_systems_count_empty_and_overfull_ones_too() -> None:
    found = {one.mount: one for one in _file_systems(DF.splitlines())}
    assert {"/", "/srv/empty and new", "/full"} <= set(found)
    assert "/run/user/0" not in found and "/var/lib/x" not in found
    assert found["/srv/empty and new"] == FileSystem("/srv/empty and new", 100 * 1024, 100 * 1024)
    assert found["/full"] == FileSystem("/full", 50 * 1024, 0), "reserved blocks are nobody's"
