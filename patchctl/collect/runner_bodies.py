"""Shell text of the host runner's requests, one body each; they run after the functions of runner_functions.py."""

from __future__ import annotations

LOOK = r"""
if held; then say veto "$VETO"; fi
check_owner || say fenced "$FENCED"
say_fence
for dir in "$RUNS"/*; do
    [ -d "$dir" ] || continue
    look_at "${dir##*/}"; say attempt "${dir##*/} $STATE"
done
for wanted in $PATHS; do
    path=$wanted
    while [ ! -e "$path" ]; do path=${path%/*}; [ -n "$path" ] || path=/; done
    df -Pk "$path" 2>/dev/null | { read -r heading; read -r device size used free share mount &&
        say space "$wanted $free $mount"; }
done
say state seen
say end
"""

START = r"""
SPOOL=$RUNS/$ATTEMPT
mkdir -p "$RUNS" 2>/dev/null
if ! lock; then
    say state failed
    if [ -n "$HOLDER" ]; then say code busy; say reason "process $HOLDER is starting something on this host"
    else say code spool-full
        say reason "cannot write below $BASE: $({ mkdir -p "$BASE/lock" && printf '' > "$BASE/lock/$ME"; } 2>&1)"; fi
    say end; exit 0
fi
check_owner || { say_fence; answer fenced "$FENCED"; }
if [ -d "$SPOOL" ]; then
    CLAIM=; { read -r CLAIM rest < "$SPOOL/claim"; } 2>/dev/null
    [ -z "$CLAIM" ] || [ "$CLAIM" = "$STORE" ] || { say code foreign-attempt; answer failed "claimed by store $CLAIM"; }
    look_at "$ATTEMPT" locked
    say was "$STATE"; say unit "$(unit_of "$ATTEMPT")"
    answer adopted "$WHY"
fi
# A request that was under way while its attempt ran, ended and was cleaned up must not run it again.
if used_up "$ATTEMPT"; then
    say was interrupted; say unit "$(unit_of "$ATTEMPT")"
    answer adopted 'its spool is lost'
fi
check_fence || { say_fence; answer fenced "$FENCED"; }
if held; then answer veto "$VETO"; fi
if find_busy "$ATTEMPT"; then say code busy; say holder "$BUSY"; answer failed "attempt $BUSY still works here"; fi
MISSING=
while read -r sum name; do
    [ -n "$sum" ] || continue
    found=$(sha256sum < "$FILES/$name" 2>/dev/null)
    [ "${found%% *}" = "$sum" ] || say missing "$sum"
    [ "${found%% *}" = "$sum" ] || MISSING="$MISSING $name"
done <<'@SUMS@'
@FILELIST@
@SUMS@
[ -z "$MISSING" ] || { say code staging-missing; answer failed "not in $FILES or damaged:$MISSING"; }
rm -rf "$BASE"/new.*
NEW=$BASE/new.$$
mkdir "$NEW" && cat > "$NEW/payload" <<'@PAYLOAD@'
@PAYLOADTEXT@
@PAYLOAD@
[ $? = 0 ] && cat > "$NEW/list" <<'@LIST@'
@LISTTEXT@
@LIST@
[ $? = 0 ] && cat > "$NEW/run" <<'@RUN@'
@RUNTEXT@
@RUN@
[ $? = 0 ] && printf '%s %s %s %s %s\n' "$STORE" "$EPOCH" "$TOKEN" "$BOOT" "$(date +%s)" > "$NEW/claim" &&
    { fallocate -l 262144 "$NEW/reserve" 2>/dev/null ||
      dd if=/dev/zero of="$NEW/reserve" bs=4096 count=64 2>/dev/null; } &&
    mkfifo "$NEW/pipe" || { rm -rf "$NEW"; say code spool-full; answer failed "no room for the spool below $BASE"; }
settle "$NEW/payload" "$NEW/list" "$NEW/run" "$NEW/claim" "$NEW/reserve" "$NEW"
write_fence "$TOKEN" "$ATTEMPT" || { rm -rf "$NEW"; say code spool-full; answer failed "cannot write $BASE/fence"; }
mkdir "$SPOOL" || { rm -rf "$NEW"; say code spool-full; answer failed "cannot make $SPOOL"; }
mv "$NEW"/* "$SPOOL/" && rmdir "$NEW"
settle "$SPOOL" "$RUNS"
say unit "$(unit_of "$ATTEMPT")"
read -r up rest < /proc/uptime
printf '%s %s\n' "$BOOT" "${up%%.*}" > "$SPOOL/launching"
if ! detach "$(unit_of "$ATTEMPT")" "$SHELL_USED" "$SPOOL/run"; then
    if void "$ATTEMPT"; then say code cannot-detach; answer failed "$ERROR"; fi
fi
# The lock is held until it has begun, so that nobody takes it for one that never will.
tries=0
while [ ! -h "$SPOOL/begun" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); pause 1; done
say detached "$DETACHED"
answer started
"""

POLL = r"""
read_fence
look_at "$ATTEMPT"
if [ "$STATE" = absent ] && used_up "$ATTEMPT"; then STATE=interrupted WHY='its spool is lost'; fi
spool=$RUNS/$ATTEMPT
if [ -d "$spool" ]; then
    { read -r CLAIM rest < "$spool/claim"; } 2>/dev/null && [ "$CLAIM" != "$STORE" ] &&
        say foreign "$CLAIM"
    { read -r RC BEGAN ENDED RAN < "$spool/result"; } 2>/dev/null && [ "$STATE" = finished ] &&
        say result "$RC $BEGAN $ENDED $RAN"
    [ "$STATE" != running ] || say age "$(($(date +%s) - $(stat -c %Y "$spool/claim" 2>/dev/null || date +%s)))"
    cat "$spool"/log.first "$spool"/log.previous "$spool"/log.last 2>/dev/null | grep '^patchctl: ' | tail -n 200 |
        head -c 65536 | say_lines mark
    cat "$spool"/log.first "$spool"/log.previous "$spool"/log.last 2>/dev/null | tail -c "$TAIL" | say_lines log
    [ "$STATE" = running ] || {
        head -c 2097152 "$spool/before" 2>/dev/null | say_lines before
        head -c 2097152 "$spool/after" 2>/dev/null | say_lines after
        [ ! -e "$spool/after" ] || say compared yes
    }
fi
say unit "$(unit_of "$ATTEMPT")"
say state "$STATE"
[ -z "$WHY" ] || say reason "$WHY"
say end
"""

REBOOT = r"""
[ "$BOOT" = "$EXPECTED" ] || { say state rebooted; say end; exit 0; }
lock || { say state failed; say code busy; say reason "process $HOLDER holds the lock"; say end; exit 0; }
check_owner || { say code fenced; answer failed "$FENCED"; }
if held; then say code veto; answer failed "$VETO"; fi
if find_busy ''; then say code busy; say holder "$BUSY"; answer failed "attempt $BUSY still works here"; fi
# Detached and two seconds late, so that this answer arrives; bound to this boot, so that it cannot hit the next one.
detach patchctl-reboot.service /bin/sh -c 'sleep 2; IFS= read -r b < /proc/sys/kernel/random/boot_id
    [ "$b" = "$1" ] || exit 0; systemctl reboot || shutdown -r now || reboot' patchctl "$BOOT" ||
    case $ERROR in *already*) ;; *) say code cannot-detach; answer failed "$ERROR" ;; esac
answer requested
"""

CLEANUP = r"""
if [ ! -d "$BASE" ]; then say state clean; say end; exit 0; fi
lock || { say state failed; say code busy; say reason "process $HOLDER holds the lock"; say end; exit 0; }
check_owner || { say code fenced; answer failed "$FENCED"; }
if [ -d "$RUNS/$ATTEMPT" ]; then
    look_at "$ATTEMPT" locked
    [ "$STATE" != running ] || { say code busy; say holder "$ATTEMPT"; answer failed "attempt $ATTEMPT still works"; }
fi
# The attempts before this one on this host have the same name up to the number; their outcomes are recorded too.
family=${ATTEMPT%.*}; number=${ATTEMPT##*.}
for dir in "$RUNS/$family".*; do
    [ -d "$dir" ] || continue
    case ${dir##*.} in *[!0-9]*) continue ;; esac
    [ "${dir##*.}" -le "$number" ] || continue
    look_at "${dir##*/}" locked
    [ "$STATE" = running ] && continue
    rm -rf "$dir"
    systemctl reset-failed "$(unit_of "${dir##*/}")" >/dev/null 2>&1
done
[ -z "$FILES" ] || rm -rf "$FILES"
rm -rf "$BASE"/new.* "$BASE"/fence.new
rmdir "$BASE/stage" "$RUNS" 2>/dev/null
settle "$BASE"
unlock
for file in "$BASE"/* "$BASE"/.[!.]* "$RUNS"/* "$BASE/stage"/*; do
    case $file in "$BASE/fence"|"$BASE/runs"|"$BASE/stage") [ -f "$file" ] || [ -d "$file" ] && continue ;; esac
    [ -e "$file" ] || [ -h "$file" ] && say residue "$file"
done
if [ -d "$ROOT/run/systemd/system" ]; then
    systemctl list-units --all --plain --no-legend "patchctl-$ATTEMPT*" 2>/dev/null |
        while read -r unit rest; do say residue "unit $unit"; done
fi
say state clean
say end
"""

TAKEOVER = r"""
mkdir -p "$BASE" 2>/dev/null
lock || { say state failed; say code busy; say reason "process $HOLDER holds the lock"; say end; exit 0; }
read_fence; say_fence
[ "$F_STORE" != "$STORE" ] || [ "$F_EPOCH" -le "$EPOCH" ] || {
    say code fenced; answer failed "the host knows epoch $F_EPOCH of this store already, newer than $EPOCH"; }
[ "$F_STORE" != "$STORE" ] || [ "$F_TOKEN" -le "$TOKEN" ] || TOKEN=$F_TOKEN
write_fence "$TOKEN" - || { say code spool-full; answer failed "cannot write $BASE/fence"; }
answer taken
"""
