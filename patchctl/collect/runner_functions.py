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

# Get in, or fail with the living holder in HOLDER (none = the folder cannot be used). $1 = tries, 25 take about 10 s.
lock() {
    trap '' HUP PIPE
    ME=$BOOT:$$:$(start_of $$)
    tries=0
    while [ $tries -lt "${1:-25}" ]; do
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

# Is attempt $1 used up although it has no spool? The fence names the last one that was claimed: that one and those
# before it on this host were started or will never be. (call after read_fence)
used_up() {
    [ "$F_ATTEMPT" = "$1" ] && return 0
    [ "${F_ATTEMPT%.*}" = "${1%.*}" ] || return 1
    case ${F_ATTEMPT##*.}${1##*.} in *[!0-9]*) return 1 ;; esac
    [ "${1##*.}" -lt "${F_ATTEMPT##*.}" ]
}

unit_of() { printf 'patchctl-%s.service' "$1"; }

# Do processes of attempt $1 still live although its runner is gone? By control group, else by session.
survivors() {
    grep -qsF "/$(unit_of "$1")" /proc/[0-9]*/cgroup && return 0
    link=$(readlink "$RUNS/$1/begun") || return 1
    link=${link#*:}; leader=${link%%:*}
    # A number in use as a session's id is not given to a new process: if one lives there, the old session is gone.
    start_of "$leader" > /dev/null && return 1
    for file in /proc/[0-9]*/stat; do
        { IFS= read -r stat < "$file"; } 2>/dev/null || continue
        set -- ${stat##*) }
        [ "$4" = "$leader" ] && [ "$1" != Z ] && return 0
    done
    return 1
}

# Was attempt $1 handed to systemd or setsid less than GRACE seconds ago, in this boot? Then it may yet begin.
on_its_way() {
    { read -r way_boot way_up < "$RUNS/$1/launching"; } 2>/dev/null && [ "$way_boot" = "$BOOT" ] && [ -n "$way_up" ] &&
        read -r up rest < /proc/uptime && [ $((${up%%.*} - way_up)) -lt "$GRACE" ]
}

# How is attempt $1 doing? Sets STATE (running, finished, interrupted, absent) and WHY.
# To call off what was claimed and never begun it takes the lock, unless $2=locked says that we hold it: the lock's
# holder may be the one who is starting it.
look_at() {
    STATE= WHY=; spool=$RUNS/$1
    if [ ! -d "$spool" ]; then STATE=absent; return; fi
    if [ -e "$spool/result" ]; then STATE=finished; return; fi
    begun=$(readlink "$spool/begun")
    if [ -z "$begun" ]; then
        if on_its_way "$1" || { [ "$2" != locked ] && ! lock 8; }; then
            STATE=running WHY='is being started'; return
        fi
        on_its_way "$1" || void "$1"
        begun=$(readlink "$spool/begun")
        [ "$2" = locked ] || unlock
        if [ -z "$begun" ]; then STATE=running WHY='is being started'; return; fi
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
