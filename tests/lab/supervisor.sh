# Boots one host, again after each reboot (systemd-nspawn then exits 133), until it powers off or this gets SIGTERM.
# supervisor.sh ROOT NAME LOG CGROUP...: the folders of the host's own control group, one in each hierarchy.
root=$1 name=$2 log=$3 stop='' boot=0
shift 3
for group; do mkdir -p "$group/keeper"; echo $$ > "$group/keeper/cgroup.procs"; done
trap 'stop=1; kill -TERM $child' TERM
while :; do
    boot=$((boot + 1))
    for group; do mkdir -p "$group/boot$boot"; done
    (
        for group; do sh -c 'echo $PPID' > "$group/boot$boot/cgroup.procs"; done
        exec systemd-nspawn --quiet --register=no --keep-unit --resolv-conf=copy-host --console=pipe \
            -D "$root" -M "$name" --boot </dev/null >>"$log" 2>&1
    ) & child=$!
    while :; do  # a signal interrupts wait: only when the child is gone is its status the real one
        wait $child; status=$?
        kill -0 $child 2>/dev/null || break
    done
    for group; do find "$group/boot$boot" -depth -type d -exec rmdir {} + 2>/dev/null; done
    [ -z "$stop" ] && [ $status = 133 ] || exit 0
done
