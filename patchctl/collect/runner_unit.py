"""Shell text that runs on a host as an attempt's own unit: executes the payload, bounds its log, keeps its result."""

from __future__ import annotations

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

# Without an exit status nobody saw the payload's end: no result, so that the attempt counts as interrupted.
rm -f "$SPOOL/reserve" "$SPOOL/pipe"
read -r rc < "$SPOOL/rc" || exit 1
printf '%s %s %s %s\n' "$rc" "$began" "$(date +%s)" "$boot" > "$SPOOL/result.new"
settle "$SPOOL"/log.* "$SPOOL/before" "$SPOOL/after" "$SPOOL/result.new"
mv -f "$SPOOL/result.new" "$SPOOL/result"
settle "$SPOOL"
exit 0
"""
