"""Seeded changes to a host that rules look at: files removed, modes and owners changed, settings flipped, and so on."""

from __future__ import annotations

import random
from collections.abc import Callable
from shlex import quote

REMOVED = (
    "/etc/issue", "/etc/issue.net", "/etc/motd", "/etc/rsyslog.conf", "/etc/security/pwquality.conf", "/etc/crontab",
    "/etc/logrotate.conf", "/etc/shadow-", "/etc/gshadow-", "/etc/pam.d/common-password", "/etc/pam.d/su",
    "/etc/audit/auditd.conf", "/etc/chrony/chrony.conf", "/etc/security/limits.conf", "/etc/profile",
    "/etc/hosts.equiv", "/etc/default/ufw", "/etc/aide/aide.conf", "/etc/at.deny", "/etc/bash.bashrc", "/etc/securetty",
)
MODES = ("0000", "0400", "0440", "0600", "0640", "0644", "0666", "0700", "0750", "0755", "0777", "1777", "2755", "4755")
TOUCHED = (
    "/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/gshadow", "/etc/shadow-", "/etc/crontab",
    "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/issue",
    "/etc/motd", "/etc/ssh/sshd_config", "/etc/audit/auditd.conf", "/etc/audit/rules.d/audit.rules", "/var/log",
    "/var/log/dpkg.log", "/var/log/apt", "/usr/bin/true", "/usr/sbin/chroot", "/usr/lib/os-release", "/home/ops",
    "/home/guest", "/root", "/etc/chrony/chrony.conf", "/etc/security/opasswd", "/var/log/audit", "/etc/rsyslog.conf",
    "/home/guest/.profile", "/usr/lib/lab", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub",
)
OWNERS = ("root:root", "root:adm", "root:shadow", "ops:ops", "4242:4242", "guest:root", "root:4343", "syslog:adm")
LINES: dict[str, tuple[str, ...]] = {
    "/etc/ssh/sshd_config": (
        "PermitRootLogin no", "PermitRootLogin yes", "#PermitRootLogin no", "ClientAliveInterval 300",
        "ClientAliveInterval 3000", "ClientAliveCountMax 0", "ClientAliveCountMax 3", "MaxAuthTries 4",
        "MaxAuthTries 9", "X11Forwarding no", "x11forwarding yes", "Banner /etc/issue.net", "LoginGraceTime 60",
        "PermitEmptyPasswords no", "IgnoreRhosts yes", "HostbasedAuthentication no", "PermitUserEnvironment no",
        "MaxStartups 10:30:60", "MaxSessions 10", "LogLevel INFO", "LogLevel VERBOSE", "AllowTcpForwarding no",
        "Ciphers aes256-ctr,aes192-ctr", "MACs hmac-sha2-512,hmac-sha2-256", "AllowUsers ops", "UsePAM yes",
    ),
    "/etc/ssh/sshd_config.d/50-test.conf": ("PermitRootLogin no", "MaxAuthTries 4", "Banner /etc/issue"),
    "/etc/login.defs": (
        "PASS_MAX_DAYS 90", "PASS_MAX_DAYS 365", "PASS_MIN_DAYS 7", "PASS_WARN_AGE 7", "ENCRYPT_METHOD SHA512",
        "ENCRYPT_METHOD MD5", "UMASK 027", "UMASK 077", "SHA_CRYPT_MIN_ROUNDS 65536", "PASS_MIN_LEN 14",
    ),
    "/etc/security/pwquality.conf": (
        "minlen = 14", "minlen=8", "dcredit = -1", "ucredit=-1", "lcredit = 0", "ocredit = -1", "minclass = 4",
        "retry = 3", "# minlen = 20", "difok = 8", "enforcing = 1",
    ),
    "/etc/sysctl.d/60-test.conf": (
        "net.ipv4.ip_forward = 0", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects = 0",
        "net.ipv4.conf.default.send_redirects = 0", "kernel.randomize_va_space = 2", "fs.suid_dumpable = 0",
        "net.ipv4.tcp_syncookies = 1", "net.ipv6.conf.all.accept_ra = 0", "net.ipv4.conf.all.rp_filter = 1",
        "net.ipv4.conf.all.log_martians=1", "net.ipv4.icmp_echo_ignore_broadcasts = 1", "kernel.dmesg_restrict = 1",
    ),
    "/etc/modprobe.d/test.conf": (
        "install cramfs /bin/true", "install cramfs /bin/false", "blacklist cramfs", "install udf /bin/true",
        "install usb-storage /bin/true", "blacklist usb-storage", "install dccp /bin/true", "install sctp /bin/true",
        "install rds /bin/true", "install tipc /bin/true", "install hfs /bin/false", "blacklist hfs",
    ),
    "/etc/audit/rules.d/test.rules": (
        "-w /etc/passwd -p wa -k identity", "-w /etc/shadow -p wa -k identity", "-w /etc/group -p wa -k identity",
        "-w /var/log/lastlog -p wa -k logins", "-w /etc/sudoers -p wa -k actions", "-e 2", "-w /sbin/insmod -p x -k m",
        "-a always,exit -F arch=b64 -S adjtimex -S settimeofday -k time-change",
        "-a always,exit -F arch=b32 -S adjtimex -S settimeofday -S stime -k time-change",
        "-a always,exit -F arch=b64 -S chmod -F auid>=1000 -F auid!=unset -F key=perm_mod",
        "-a always,exit -F arch=b32 -S chmod -F auid>=1000 -F auid!=unset -F key=perm_mod",
        "-a always,exit -F path=/usr/bin/su -F auid>=1000 -F auid!=unset -F key=privileged",
        "-a always,exit -F path=/usr/bin/sudo -F perm=x -F auid>=1000 -F auid!=unset -F key=privileged",
    ),
    "/etc/audit/auditd.conf": (
        "max_log_file = 8", "max_log_file_action = keep_logs", "space_left_action = email", "log_group = root",
        "action_mail_acct = root", "admin_space_left_action = halt", "log_file = /var/log/audit/audit.log",
        "flush = data", "log_group = adm",
    ),
    "/etc/sudoers.d/test": (
        "Defaults use_pty", 'Defaults logfile="/var/log/sudo.log"', "guest ALL=(ALL) NOPASSWD: ALL",
        "Defaults !authenticate", "Defaults env_reset, timestamp_timeout=15", "Defaults noexec", "Defaults requiretty",
    ),
    "/etc/rsyslog.d/test.conf": (
        "*.* @@loghost.example.com", "*.* action(type=\"omfwd\" target=\"loghost\")", "auth.* /var/log/auth-test.log",
        "$FileCreateMode 0640", "cron.* /var/log/cron-test.log", "*.* /var/log/everything",
    ),
    "/etc/pam.d/common-password": (
        "password required pam_pwhistory.so remember=5", "password [success=1 default=ignore] pam_unix.so sha512",
        "password requisite pam_pwquality.so retry=3", "password required pam_pwhistory.so use_authtok remember=24",
    ),
    "/etc/pam.d/common-auth": (
        "auth required pam_faillock.so preauth audit silent deny=4 unlock_time=900",
        "auth [default=die] pam_faillock.so authfail audit deny=4", "auth required pam_tally2.so deny=3",
    ),
    "/etc/pam.d/su": ("auth required pam_wheel.so use_uid", "auth required pam_wheel.so use_uid group=sugroup"),
    "/etc/security/limits.d/test.conf": ("* hard core 0", "* soft core 0", "* hard maxlogins 10"),
    "/etc/profile.d/test.sh": ("readonly TMOUT=900 ; export TMOUT", "TMOUT=600", "umask 027", "umask 022",
                               "export TMOUT=1800"),
    "/etc/bash.bashrc": ("umask 027", "umask 077", "TMOUT=900"),
    "/etc/profile": ("umask 027", "umask 022"),
    "/etc/issue": ("Authorized uses only. All activity may be monitored and reported.", "Debian \\n \\l"),
    "/etc/issue.net": ("Authorized uses only. All activity may be monitored and reported.",),
    "/etc/chrony/chrony.conf": ("server ntp.example.com iburst", "pool pool.example.com", "user _chrony"),
    "/etc/systemd/journald.conf": ("ForwardToSyslog=yes", "Compress=yes", "Storage=persistent"),
    "/etc/default/useradd": ("INACTIVE=30", "INACTIVE=-1", "INACTIVE=90"),
    "/etc/hosts.equiv": ("host.example.com",),
    "/root/.rhosts": ("host guest",), "/home/guest/.netrc": ("machine x login y",),
    "/home/ops/.forward": ("x@example.com",),
    "/home/guest/.bash_history_test": ("umask 000",), "/home/guest/.test": ("umask 022", "umask 077"),
    "/etc/aide/aide.conf": ("/sbin/auditctl p+i+n+u+g+s+b+acl+xattrs+sha512", "/usr/sbin/auditd p+i+n+u+g+s+b+sha512"),
    "/etc/crontab": ("05 4 * * * root /usr/bin/aide.wrapper --config /etc/aide/aide.conf --check",),
    "/etc/apt/apt.conf.d/99test": ('APT::Get::AllowUnauthenticated "true";',
                                   'Unattended-Upgrade::Remove-Unused-Dependencies "true";'),
    "/etc/ufw/ufw.conf": ("ENABLED=yes",), "/etc/cron.allow": ("root",), "/etc/at.allow": ("root",),
    "/etc/default/grub": ('GRUB_CMDLINE_LINUX="audit=1 audit_backlog_limit=8192 apparmor=1 security=apparmor"',),
    "/boot/grub/grub.cfg": ("set superusers=\"root\"", "linux /vmlinuz root=/dev/sda1 audit=1",
                            "password_pbkdf2 root grub.pbkdf2.sha512.10000.ABCDEF12.ABCDEF34"),
    "/etc/fstab": ("tmpfs /dev/shm tmpfs nodev,nosuid,noexec 0 0", "/dev/cdrom /media/cdrom iso9660 ro,noauto 0 0"),
}
UNITS = ("cron.service", "rsyslog.service", "atd.service", "ufw.service", "systemd-timesyncd.service", "chrony.service",
         "auditd.service", "dailyaidecheck.timer", "apparmor.service", "nftables.service", "logrotate.timer")
PACKAGES = ("at", "aide", "chrony", "ufw", "rsyslog", "cron", "apparmor-utils", "tcsh", "nftables", "libpam-pwquality",
            "auditd", "logrotate", "busybox", "doas")
OTHER = (
    "useradd -m -u 2001 tester1 2>/dev/null; echo 'tester1:$6$abcdefgh$0123456789ABCDEFGHIJKLMN' | chpasswd -e",
    "useradd -M -u 2002 tester2; passwd -d tester2", "useradd -o -u 0 -M toor", "useradd -r -s /bin/bash sysuser",
    "chage -M 90 -m 7 guest", "chage -M 99999 -m 0 ops", "usermod -d /nonexistent guest", "userdel guest",
    "groupadd -g 2500 sugroup", "echo 'legacy:x:2010:2999::/home/legacy:/bin/sh' >> /etc/passwd",
    "echo '+::0:0:::' >> /etc/passwd", "cp /usr/bin/true /usr/local/bin/suid-test; chmod 4755 /usr/local/bin/suid-test",
    "mkdir -p /opt/open; chmod 0777 /opt/open", "echo x > /opt/nobody; chown 4444:4444 /opt/nobody",
    "echo x > /srv/writable; chmod 0666 /srv/writable", "mkdir -p /usr/local/sbin/sub; chmod 0775 /usr/local/sbin/sub",
    "ln -sf /nonexistent /etc/dangling", "ln -sfn /etc/rsyslog.conf /etc/cron.allow",
    "mkdir -p /etc/dconf/db/local.d/locks; echo '[org/gnome/desktop/screensaver]' > /etc/dconf/db/local.d/00-test",
    "rm -rf /etc/audit/rules.d", "rm -rf /etc/sudoers.d/test",
    "mkdir -p /var/log/audit; touch /var/log/audit/audit.log",
    "chmod 0600 /var/log/*.log", "printf 'no newline at the end' > /etc/motd", ": > /etc/security/pwquality.conf",
    "printf '\\377\\376binary\\000text\\n' >> /etc/bash.bashrc",
)


def mutation(seed: int) -> str:
    """Return sh text that changes a host; the same for the same seed."""
    pick = random.Random(seed)
    often: dict[Callable[[random.Random], str], int] = {
        _line: 24, _mode: 8, _owner: 4, _remove: 4, _unit: 3, _package: 2, _other: 5}
    steps = [step for step, times in often.items() for _ in range(times)]
    return "\n".join(f"( {pick.choice(steps)(pick)} ) >/dev/null 2>&1" for _ in range(40)) + "\ntrue\n"


def _line(pick: random.Random) -> str:
    path = pick.choice(sorted(LINES))
    line = pick.choice(LINES[path])
    folder = path.rpartition("/")[0]
    if pick.random() < 0.5:  # in front: many checks look at the first one only
        first = f"printf '%s\\n' {quote(line)} | cat - {path} > {path}.n"
        return f"mkdir -p {folder}; touch {path}; {first}; mv {path}.n {path}"
    return f"mkdir -p {folder}; printf '%s\\n' {quote(line)} >> {path}"


def _mode(pick: random.Random) -> str:
    return f"chmod {pick.choice(MODES)} {pick.choice(TOUCHED)}"


def _owner(pick: random.Random) -> str:
    return f"chown {pick.choice(OWNERS)} {pick.choice(TOUCHED)}"


def _remove(pick: random.Random) -> str:
    return f"rm -rf {pick.choice(REMOVED)}"


def _unit(pick: random.Random) -> str:
    what = pick.choice(("mask", "unmask", "enable", "disable", "mask --now", "start"))
    return f"systemctl {what} {pick.choice(UNITS)}"


def _package(pick: random.Random) -> str:
    how = pick.choice(("--remove", "--purge"))
    return f"DEBIAN_FRONTEND=noninteractive dpkg {how} --force-depends {pick.choice(PACKAGES)}"


def _other(pick: random.Random) -> str:
    return pick.choice(OTHER)
