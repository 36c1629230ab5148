"""Shell text of the host runner: the functions every request shares, and one body per request.

Everything here is POSIX sh plus sync, readlink, tail -c, head -c, sha256sum, dd and mkfifo (coreutils or busybox),
and must run under dash, bash and busybox ash. Three atomic steps carry the promises:

  lock    a file of a unique name per process in lock/: whoever sees only his own file there, after he made it, is in.
          A dead process's file has a name nobody else ever has, so removing it can never hit a living holder.
  claim   mkdir runs/ATTEMPT: the attempt is used up, whatever happens next.
  begun   a symbolic link made once, its text naming the runner's process (or `void`): the payload runs only in the
          process that made it. Whoever finds a claimed attempt that nobody is starting makes it `void`, so that a
          launch that was still under way can never come later.
"""

from __future__ import annotations

FUNCTIONS = r"""
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
umask 077
cd / || exit 1
BASE=$ROOT/var/lib/patchctl
RUNS=$BASE/runs
HOLD=$ROOT/etc/patchctl/hold
IFS= read -r BOOT < /proc/sys/kernel/random/boot_id

say() { printf '%s %s\n' "$NONCE" "$*"; }

# Every line of standard input becomes a line of the reply under the key $1; without its end it gets one.
say_lines() { tr -d '\000\r' | sed "s/^/$NONCE $1 /"; printf '\n'; }

# Make files and directories durable: fsync where sync takes names, else everything.
settle() { sync "$@" 2>/dev/null || sync; }

# A short rest; $1 in tenths of a second (whole seconds where sleep knows no fractions).
pause() { sleep "0.$1" 2>/dev/null || sleep 1; }

# Start time of process $1 in ticks since boot (proc(5), stat field 22); fails for none and for zombies.
start_of() {
    { IFS= read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${stat##*) }
    case $1 in Z|X) return 1 ;; esac
    printf %s "${20}"
}

# Is the process BOOT:PID:START alive? A process number alone proves nothing.
alive() {
    id_boot=${1%%:*}; id_rest=${1#*:}; id_pid=${id_rest%%:*}; id_start=${id_rest#*:}
    [ "$id_boot" = "$BOOT" ] && [ -n "$id_start" ] && [ "$(start_of "$id_pid")" = "$id_start" ]
}

lock() {
    trap '' HUP PIPE
    ME=$BOOT:$$:$(start_of $$)
    tries=0
    while [ $tries -lt 40 ]; do
        tries=$((tries + 1)); HOLDER=
        mkdir -p "$BASE/lock" 2>/dev/null
        if { printf "" > "$BASE/lock/$ME"; } 2>/dev/null; then
            for file in "$BASE"/lock/*; do
                other=${file##*/}
                [ "$other" = "$ME" ] && continue
                if alive "$other"; then HOLDER=$other; else rm -f "$file"; fi
            done
            [ -z "$HOLDER" ] && return 0
            rm -f "$BASE/lock/$ME"
        elif [ $tries -gt 5 ]; then
            return 1
        fi
        pause $((($$ + tries * 3) % 7 + 1))
    done
    return 1
}

unlock() { rm -f "$BASE/lock/$ME"; rmdir "$BASE/lock" 2>/dev/null; }

# Answer with a state and a reason, give the lock back, end.
answer() { say state "$1"; [ -z "$2" ] || say reason "$2"; unlock; say end; exit 0; }

# The veto of the host's owner: the file's existence counts, its first line is the reason.
held() {
    [ -e "$HOLD" ] || [ -h "$HOLD" ] || return 1
    VETO=; { IFS= read -r VETO < "$HOLD"; } 2>/dev/null
    VETO="$HOLD: $(printf %s "${VETO:-no reason given}" | head -c 300)"
}

read_fence() {
    F_STORE= F_EPOCH= F_TOKEN= F_NAME= F_ATTEMPT=
    [ -e "$BASE/fence" ] || return 0
    { read -r F_STORE F_EPOCH F_TOKEN F_NAME F_ATTEMPT rest < "$BASE/fence"; } 2>/dev/null
    case $F_EPOCH in ''|*[!0-9]*) F_STORE='?' F_EPOCH=0 ;; esac
    case $F_TOKEN in ''|*[!0-9]*) F_STORE='?' F_TOKEN=0 ;; esac
}

say_fence() { [ -z "$F_STORE" ] || say fence "$F_STORE $F_EPOCH $F_TOKEN ${F_NAME:--} ${F_ATTEMPT:--}"; }

write_fence() {
    printf '%s %s %s %s %s\n' "$STORE" "$EPOCH" "$1" "$NAME" "$2" > "$BASE/fence.new" || return 1
    settle "$BASE/fence.new"
    mv -f "$BASE/fence.new" "$BASE/fence" || return 1
    settle "$BASE"
}

# Whose host is it? Sets FENCED to the reason why this controller may not act, or to nothing.
check_fence() {
    FENCED=; read_fence
    [ -n "$F_STORE" ] || return 0
    if [ "$F_STORE" = '?' ]; then FENCED="$BASE/fence cannot be read"
    elif [ "$F_STORE" != "$STORE" ]; then
        FENCED="belongs to the controller ${F_NAME:-unnamed} (store $F_STORE, epoch $F_EPOCH)"
    elif [ "$F_EPOCH" -lt "$EPOCH" ]; then
        FENCED="knows epoch $F_EPOCH of this store, not $EPOCH: a restored store needs an explicit takeover"
    elif [ "$F_EPOCH" -gt "$EPOCH" ]; then
        FENCED="has moved on to epoch $F_EPOCH of this store ($F_NAME); this copy is of epoch $EPOCH"
    elif [ "$F_TOKEN" -gt "$TOKEN" ]; then
        FENCED="has already acted on token $F_TOKEN, this request carries $TOKEN: a newer run took over"
    fi
    [ -z "$FENCED" ]
}

# Same, but for requests that start nothing: an older token may still ask and tidy.
check_owner() { check_fence || case $FENCED in 'has already acted'*) FENCED= ;; *) return 1 ;; esac; }

unit_of() { printf 'patchctl-%s.service' "$1"; }

# Do processes of attempt $1 still live although its runner is gone? By control group, else by session.
survivors() {
    grep -qsF "/$(unit_of "$1")" /proc/[0-9]*/cgroup && return 0
    link=$(readlink "$RUNS/$1/begun") || return 1
    link=${link#*:}; leader=${link%%:*}
    # A number in use as a session's id is not given to a new process: if it is taken, the old session is gone.
    [ "${link#*:}" = void ] || [ -e "/proc/$leader" ] && return 1
    for file in /proc/[0-9]*/stat; do
        { IFS= read -r stat < "$file"; } 2>/dev/null || continue
        set -- ${stat##*) }
        [ "$4" = "$leader" ] && [ "$1" != Z ] && return 0
    done
    return 1
}

# How is attempt $1 doing? Sets STATE (running, finished, interrupted, absent) and WHY.
# Takes the lock where it must decide about an attempt that was claimed but not begun; $2=locked: we hold it.
look_at() {
    STATE= WHY=; spool=$RUNS/$1
    if [ ! -d "$spool" ]; then STATE=absent; return; fi
    if [ -e "$spool/result" ]; then STATE=finished; return; fi
    begun=$(readlink "$spool/begun")
    if [ -z "$begun" ] && [ "$2" != locked ]; then
        if lock; then
            begun=$(readlink "$spool/begun")
            if [ -z "$begun" ]; then void "$1"; begun=$(readlink "$spool/begun"); fi
            unlock
        else
            STATE=running WHY='is being started'; return
        fi
    elif [ -z "$begun" ]; then
        void "$1"; begun=$(readlink "$spool/begun")
    fi
    case $begun in
    void) STATE=interrupted WHY='was claimed, but its runner never began' ;;
    "$BOOT":*)
        if alive "$begun"; then STATE=running
        elif [ -e "$spool/result" ]; then STATE=finished
        elif survivors "$1"; then STATE=running WHY='its runner died, but processes of it still work'
        elif [ -e "$spool/result" ]; then STATE=finished
        else STATE=interrupted WHY='its runner died'; fi ;;
    *) STATE=interrupted WHY='the host was restarted while it ran' ;;
    esac
}

# Decide for good that a claimed attempt shall never begin (fails if its runner was faster).
void() { ln -s void "$RUNS/$1/begun" 2>/dev/null && settle "$RUNS/$1"; }

# Name another attempt that still works on this host in BUSY (call with the lock held).
find_busy() {
    BUSY=
    for dir in "$RUNS"/*; do
        [ -d "$dir" ] && [ "${dir##*/}" != "$1" ] || continue
        look_at "${dir##*/}" locked
        [ "$STATE" != running ] || { BUSY=${dir##*/}; return 0; }
    done
    return 1
}

# Run a program apart from this connection: its own unit, else its own session. $1 = unit name, rest = the command.
detach() {
    unit=$1; shift; DETACHED= ERROR=
    if [ -d "$ROOT/run/systemd/system" ] && command -v systemd-run >/dev/null 2>&1; then
        collect=; systemd-run --help 2>/dev/null | grep -q -e --collect && collect=--collect
        # process: leave alone what maintainer scripts start; 120 s: let dpkg come to an end if the host shuts down
        ERROR=$(systemd-run --quiet $collect --unit="$unit" --description="patchctl $unit" -p KillMode=process \
            -p TimeoutStopSec=120 -p StandardInput=null -p StandardOutput=null -p StandardError=null \
            -- "$@" 2>&1 </dev/null) && { DETACHED=systemd; return 0; }
        case $ERROR in *already*) return 1 ;; esac
        if grep -qs 'session-[^/]*\.scope' /proc/self/cgroup && [ "$(busctl get-property org.freedesktop.login1 \
            /org/freedesktop/login1 org.freedesktop.login1.Manager KillUserProcesses 2>/dev/null)" != 'b false' ]; then
            ERROR="systemd-run failed ($ERROR) and logind may end what a session leaves behind"; return 1
        fi
    fi
    command -v setsid >/dev/null 2>&1 || { ERROR="${ERROR:-neither systemd-run nor setsid is there}"; return 1; }
    (trap - HUP PIPE; exec setsid "$@" </dev/null >/dev/null 2>&1) &
    DETACHED=setsid
}

say boot "$BOOT"
"""

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
    if [ -n "$HOLDER" ]; then reason="process $HOLDER is starting something on this host"
    else reason="cannot write below $BASE: $({ mkdir -p "$BASE/lock" && printf "" > "$BASE/lock/$ME"; } 2>&1 | head -n 1)"; fi
    say state failed; say code "${HOLDER:+busy}"; say reason "$reason"; say end; exit 0
fi
check_owner || { say_fence; answer fenced "$FENCED"; }
if [ -d "$SPOOL" ]; then
    CLAIM=; { read -r CLAIM rest < "$SPOOL/claim"; } 2>/dev/null
    [ -z "$CLAIM" ] || [ "$CLAIM" = "$STORE" ] || { say code foreign-attempt; answer failed "claimed by store $CLAIM"; }
    look_at "$ATTEMPT" locked
    say was "$STATE"; say unit "$(unit_of "$ATTEMPT")"
    answer adopted "$WHY"
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
if ! detach "$(unit_of "$ATTEMPT")" "$SHELL_USED" "$SPOOL/run"; then
    if void "$ATTEMPT"; then say code cannot-detach; answer failed "$ERROR"; fi
fi
say detached "$DETACHED"
answer started
"""

# Runs on the host as the attempt's own unit. `run` executes the payload, `run log` keeps its output in bounds.
RUN = r"""#!@SHELL@
# Runner of one patchctl attempt: see `begun` for its process, `result` for its end. Safe to read, not to run again.
SPOOL=@SPOOL@
umask 022
cd / || exit 1

settle() { sync "$@" 2>/dev/null || sync; }

# Keep the first part and the last one to two parts of at most 1 MiB each. Never stop reading: the writer would die.
keep_log() {
    dd bs=1024 count=1024 of="$SPOOL/log.first" 2>/dev/null || { cat > /dev/null; return; }
    while dd bs=1024 count=1024 of="$SPOOL/log.last" 2>/dev/null || { cat > /dev/null; return; }; do
        [ -s "$SPOOL/log.last" ] || return
        mv -f "$SPOOL/log.last" "$SPOOL/log.previous"
    done
}

clean() {
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb \
        DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 PATCHCTL_ATTEMPT=@ATTEMPT@ \
        @SHELL@ "$@" </dev/null
}

if [ "$1" = log ]; then keep_log; exit 0; fi

IFS= read -r boot < /proc/sys/kernel/random/boot_id
IFS= read -r stat < "/proc/$$/stat"
set -- ${stat##*) }
ln -s "$boot:$$:${20}" "$SPOOL/begun" 2>/dev/null || exit 0  # somebody else began or called it off
settle "$SPOOL"
trap : TERM HUP INT  # a shutdown waits for the package manager; children get the default back

began=$(date +%s)
clean "$SPOOL/list" > "$SPOOL/before" 2>/dev/null
exec 3<>"$SPOOL/pipe"
setsid=; command -v setsid > /dev/null 2>&1 && setsid=setsid
$setsid @SHELL@ "$SPOOL/run" log < "$SPOOL/pipe" 3>&- & reader=$!
(clean "$SPOOL/payload" > "$SPOOL/pipe" 2>&1 3>&-; echo $? > "$SPOOL/rc") & payload=$!
while kill -0 $payload 2>/dev/null; do wait $payload; done
exec 3>&-
# A process the payload left behind may hold the pipe for ever: wait a little for the log's end, not for that.
tries=0
while kill -0 $reader 2>/dev/null && [ $tries -lt 20 ]; do
    tries=$((tries + 1)); sleep 0.1 2>/dev/null || sleep 1
done
if kill -0 $reader 2>/dev/null; then [ -n "$setsid" ] && kill -9 -$reader || kill -9 $reader; fi
clean "$SPOOL/list" > "$SPOOL/after" 2>/dev/null

rm -f "$SPOOL/reserve" "$SPOOL/pipe"
read -r rc < "$SPOOL/rc"
printf '%s %s %s %s\n' "${rc:-255}" "$began" "$(date +%s)" "$boot" > "$SPOOL/result.new"
settle "$SPOOL"/log.* "$SPOOL/before" "$SPOOL/after" "$SPOOL/result.new"
mv -f "$SPOOL/result.new" "$SPOOL/result"
settle "$SPOOL"
exit 0
"""

POLL = r"""
read_fence
look_at "$ATTEMPT"
if [ "$STATE" = absent ] && [ "$F_ATTEMPT" = "$ATTEMPT" ]; then STATE=interrupted WHY='its spool is lost'; fi
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
