"""Shell functions that run a declarative fix in one of two ways: putting aside what it changes, or only telling.

A fix is a script of assess/repairing.py or of a check type. Both texts define the hooks that it calls, and functions
named as the commands that it uses. POSIX sh (dash, bash, busybox ash), beside awk, sed, grep and stat.

APPLY     PC_DIR is a folder of this one fix. What is changed is copied to root/ or its state noted first, and `restore`
          there becomes a script that takes it back: the newest change first, then what has to be reloaded.
PREVIEW   PC_PREVIEW is set, and PATH is empty: only commands that have a function here can be run, and these read.
          Every line of output is a word, a tab, and fields separated by tabs; read_preview of fixing.py reads them.
"""

from __future__ import annotations

# pc_undo puts a line at the head of `restore`: the last change is taken back first. pc_undo_last puts one at the end.
# What fails there sets bad, and the rest is taken back all the same; same and bad come from fixing.py.
APPLY = r"""
pc_q() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
pc_undo() {
  { printf '{ %s\n} || bad=1\n' "$1"
    if [ -e "$PC_DIR/restore" ]; then cat "$PC_DIR/restore"; fi; } >"$PC_DIR/restore.new"
  command mv -f "$PC_DIR/restore.new" "$PC_DIR/restore"
}
pc_undo_last() { printf '{ %s\n} || bad=1\n' "$1" >>"$PC_DIR/last"; }
# A line of the list $1 that was not there before? Then it is now.
pc_first() {
  if [ -e "$PC_DIR/$1" ] && grep -qxF -e "$2" "$PC_DIR/$1"; then return 1; fi
  printf '%s\n' "$2" >>"$PC_DIR/$1"
}
# The file $1 is about to be written or removed: keep it whole, with owner, mode, ACL and times.
pc_keep() {
  pc_first kept "$1" || return 0
  if [ -d "$1" ] && [ ! -h "$1" ]; then pc_look "$1"; return 0; fi
  pc_path=$(pc_q "$1")
  if [ ! -e "$1" ] && [ ! -h "$1" ]; then pc_undo "rm -f -- $pc_path"; return 0; fi
  mkdir -p -- "$PC_DIR/root$(dirname -- "$1")"
  cp -a -- "$1" "$PC_DIR/root$1"
  pc_copy=$(pc_q "$PC_DIR/root$1") pc_new=$(pc_q "$1.patchctl-restore")
  pc_undo "same $pc_copy $pc_path || { cp -a -- $pc_copy $pc_new && mv -f -- $pc_new $pc_path; } ||
  { rm -f -- $pc_new; false; }"
}
# Owner, mode or ACL of $1 are about to be changed.
pc_look() {
  [ -e "$1" ] || return 0
  pc_first looked "$1" || return 0
  pc_path=$(pc_q "$1") pc_state=$(stat -Lc '%u:%g %a' -- "$1")
  if command -v getfacl >/dev/null 2>&1 && getfacl -pn -- "$1" >"$PC_DIR/acl.new" 2>/dev/null; then
    cat "$PC_DIR/acl.new" >>"$PC_DIR/acl"
    if pc_first facl all; then pc_undo_last "setfacl --restore=$(pc_q "$PC_DIR/acl")"; fi
  fi
  pc_undo "chown ${pc_state% *} -- $pc_path && chmod ${pc_state#* } -- $pc_path"
}
pc_look_all() { for pc_arg in "$@"; do case $pc_arg in /*) pc_look "$pc_arg" ;; esac; done; }
chmod() { pc_look_all "$@"; command chmod "$@"; }
chown() { pc_look_all "$@"; command chown "$@"; }
chgrp() { pc_look_all "$@"; command chgrp "$@"; }
setfacl() { pc_look_all "$@"; command setfacl "$@"; }
rm() { for pc_arg in "$@"; do case $pc_arg in /*) pc_keep "$pc_arg" ;; esac; done; command rm "$@"; }
pc_accounts() { for pc_arg in /etc/passwd /etc/shadow /etc/group /etc/gshadow; do pc_keep "$pc_arg"; done; }
passwd() { pc_accounts; command passwd "$@"; }
usermod() { pc_accounts; command usermod "$@"; }
chage() { pc_accounts; command chage "$@"; }
sysctl() {
  for pc_arg in "$@"; do
    case $pc_arg in -*) ;; *=*)
      pc_key=${pc_arg%%=*}
      if pc_old=$(command sysctl -n "$pc_key" 2>/dev/null) && pc_first sysctls "$pc_key"; then
        pc_undo_last "sysctl -qw $(pc_q "$pc_key=$pc_old")"
      fi ;;
    esac
  done
  command sysctl "$@"
}
mount() { pc_undo_last "echo 'not taken back until remounted: mount $*'"; command mount "$@"; }
pc_unit() {
  pc_first units "$1" || return 0
  pc_path=$(pc_q "$1")
  case $(command systemctl is-enabled -- "$1" 2>/dev/null) in
    enabled|enabled-runtime) pc_undo_last "systemctl -q unmask -- $pc_path; systemctl -q enable -- $pc_path" ;;
    disabled) pc_undo_last "systemctl -q unmask -- $pc_path; systemctl -q disable -- $pc_path" ;;
    masked) pc_undo_last "systemctl -q mask -- $pc_path" ;;
    static|indirect|generated) pc_undo_last "systemctl -q unmask -- $pc_path" ;;
  esac
  case $(command systemctl is-active -- "$1" 2>/dev/null) in
    active|activating|reloading) pc_undo_last "systemctl start -- $pc_path" ;;
    *) pc_undo_last "systemctl stop -- $pc_path 2>/dev/null || true" ;;
  esac
}
systemctl() {
  pc_verb=
  for pc_arg in "$@"; do
    case $pc_arg in
      -*) ;;
      *) if [ -z "$pc_verb" ]; then pc_verb=$pc_arg; else
           case $pc_verb in
             enable|disable|mask|unmask|start|stop|restart) pc_unit "$pc_arg" ;;
             reload) pc_undo_last "systemctl reload -- $(pc_q "$pc_arg")" ;;
           esac
         fi ;;
    esac
  done
  [ "$pc_verb" != daemon-reload ] || pc_undo_last 'systemctl daemon-reload'
  command systemctl "$@"
}
"""

_READS = (
    "awk", "cat", "cmp", "cut", "date", "diff", "dirname", "basename", "dpkg-query", "getent", "getfacl", "grep",
    "head", "id", "ls", "readlink", "sort", "sshd", "stat", "tail", "tr", "uname", "uniq", "wc",
)
"""Commands that a preview may run as they are. awk and sort could write; what runs here is ours (a test reads it)."""
_READING = "".join(
    f"{name}() ( PATH=$pc_paths; export PATH; exec {name} \"$@\" )\n" for name in _READS if "-" not in name
)

PREVIEW = (
    r"""
pc_paths=$PATH:/usr/sbin:/usr/bin:/sbin:/bin PATH=/nonexistent PC_PREVIEW=1
LC_ALL=C; export LC_ALL
pc_tab=$(printf '\t')
"""
    + _READING
    + r"""
find() (
  for pc_arg in "$@"; do
    case $pc_arg in -exec*|-ok*|-delete|-fls|-fprint*) echo "pc: find $pc_arg is no reading" >&2; exit 1 ;; esac
  done
  PATH=$pc_paths; export PATH; exec find "$@"
)
sed() (
  for pc_arg in "$@"; do
    case $pc_arg in -i*|--in-place*) echo "pc: sed -i is no reading" >&2; exit 1 ;; esac
  done
  PATH=$pc_paths; export PATH; exec sed "$@"
)
visudo() ( case $1 in -c*) PATH=$pc_paths; export PATH; exec visudo "$@" >/dev/null ;; *) exit 1 ;; esac )
pc_would() { printf '%s' "$1"; shift; for pc_arg in "$@"; do printf '\t%s' "$pc_arg"; done; printf '\n'; }
pc_would_put() {
  if [ -e "$1" ]; then pc_base=$1; else pc_base=/dev/null; fi
  if ! (PATH=$pc_paths; command -v diff) >/dev/null 2>&1; then cat >/dev/null; pc_would nodiff "$1"; return; fi
  pc_would file "$1" "$pc_base"
  diff -U1 -- "$pc_base" - | sed -n '3,$p' | sed "s/^/line$pc_tab/"
}
pc_would_chmod() {
  while IFS= read -r pc_path; do pc_would chmod "$1" "$(stat -Lc '%a %U:%G' -- "$pc_path")" "$pc_path"; done
}
mkdir() { :; }
touch() { for pc_arg in "$@"; do [ -e "$pc_arg" ] || pc_would run "touch $pc_arg"; done; }
rm() { for pc_arg in "$@"; do case $pc_arg in /*) [ ! -e "$pc_arg" ] || pc_would rm "$pc_arg" ;; esac; done; }
chmod() {
  pc_words=
  for pc_arg in "$@"; do
    case $pc_arg in
      --) ;;
      /*) if [ -e "$pc_arg" ]; then pc_would chmod "$pc_words" "$(stat -Lc '%a %U:%G' -- "$pc_arg")" "$pc_arg"
          else pc_would chmod "$pc_words" '' "$pc_arg"; fi ;;
      *) pc_words=$pc_arg ;;
    esac
  done
}
chown() {
  pc_words=
  for pc_arg in "$@"; do
    case $pc_arg in
      --|-h) ;;
      /*) pc_would chown "$pc_words" "$(stat -Lc '%U:%G' -- "$pc_arg")" "$pc_arg" ;;
      *) pc_words=$pc_arg ;;
    esac
  done
}
setfacl() { for pc_arg in "$@"; do case $pc_arg in /*) pc_would acl "$pc_arg" "$(getfacl -cp -- "$pc_arg" 2>/dev/null |
  grep -vE '^(user|group|other)::|^$' | tr '\n' ' ')" ;; esac; done; }
passwd() { pc_would run "passwd $*"; }
usermod() { pc_would run "usermod $*"; }
chage() { pc_would run "chage $*"; }
mount() { pc_would run "mount $*"; }
sysctl() {
  for pc_arg in "$@"; do
    case $pc_arg in
      -*) ;;
      *=*) pc_key=$(printf '%s' "${pc_arg%%=*}" | tr . /)
           pc_would sysctl "$pc_arg" "$(cat "/proc/sys/$pc_key" 2>/dev/null | tr '\n\t' '  ')" ;;
    esac
  done
}
pc_off=' '
pc_systemctl() ( PATH=$pc_paths; export PATH; exec systemctl "$@" )
systemctl() {
  pc_verb= pc_what=
  for pc_arg in "$@"; do
    case $pc_arg in -*) ;; *) if [ -z "$pc_verb" ]; then pc_verb=$pc_arg; else pc_what=$pc_arg; fi ;; esac
  done
  case $pc_verb in
    is-active|is-enabled) case $pc_off in *" $pc_what "*) return 1 ;; esac; pc_systemctl "$@" ;;
    show|cat|status|list-*|is-*) pc_systemctl "$@" ;;
    *)
      pc_would unit "systemctl $*" "$(pc_systemctl is-enabled -- "$pc_what" 2>/dev/null)" \
        "$(pc_systemctl is-active -- "$pc_what" 2>/dev/null)"
      case $pc_verb in disable|stop|mask) pc_off="$pc_off$pc_what " ;; esac ;;
  esac
}
"""
)
