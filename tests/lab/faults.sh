# Makes one fault in the host this runs in, as root: sh -c "$(cat faults.sh)" sh FAULT [ARGUMENT...]; clear ends all.
set -e
saved=/run/lab-faults  # what clear needs to put things back; gone after a boot, as most faults are
mkdir -p $saved
update_only() {  # refresh the lists of one sources file
    apt-get -qq update -o Dir::Etc::sourcelist="$1" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
}
case $1 in
apt-lock)  # apt and dpkg take fcntl locks, which flock(1) does not touch: hence python
    systemd-run -q --collect --unit=lab-apt-lock python3 -c '
import fcntl, sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
files = [open(f, "w") for f in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock")]
for f in files: fcntl.lockf(f, fcntl.LOCK_EX)
open("/run/lab-faults/locked", "w")
time.sleep(1e6)' "${2:-unattended-upgr}"
    timeout 20 sh -c 'until [ -e /run/lab-faults/locked ]; do sleep 0.05; done' ;;
chatty)
    echo 'echo "profile: welcome to $(hostname)"; echo "profile: to stderr" >&2' > /etc/profile.d/lab-chatty.sh
    for home in /root /home/*; do
        [ -e $home/.bashrc ] && cp -p $home/.bashrc $home/.bashrc.lab
        echo 'echo "bashrc: fortune of the day"; printf "no newline at the end"' > $home/.bashrc.new
        [ ! -e $home/.bashrc ] || cat $home/.bashrc >> $home/.bashrc.new
        mv $home/.bashrc.new $home/.bashrc
    done
    printf 'All use is logged.\nPassword: none of your business\n' > /etc/lab-banner
    echo 'Banner /etc/lab-banner' > /etc/ssh/sshd_config.d/lab-chatty.conf
    systemctl reload ssh ;;
disk-full)
    if [ "${2:-archives}" = archives ]; then
        mount -t tmpfs -o size=64k,mode=755 lab-full /var/cache/apt/archives
        mkdir /var/cache/apt/archives/partial
    else  # a /var of its own that has no room left; clear takes back what was changed in it meanwhile
        mkdir -p $saved/var $saved/var-below
        mount -t tmpfs -o mode=755 lab-full $saved/var
        cp -a /var/. $saved/var/
        mount --bind /var $saved/var-below
        mount -o remount,size=$(( $(du -sk $saved/var | cut -f1) + 64 ))k $saved/var
        mount --bind $saved/var /var
        dd if=/dev/zero of=/var/lab-filler bs=4k 2>/dev/null || :
    fi ;;
dpkg-interrupted)
    rm -f /var/lib/lab-half
    dpkg -i /var/cache/lab-half_2.0_all.deb >/dev/null 2>&1 || :
    dpkg --audit | grep -q lab-half ;;
edit-conffile)
    echo '# changed by the administrator' >> /etc/lab-conffile.conf ;;
faillock)
    cp /etc/pam.d/sudo $saved/pam-sudo
    {   echo 'auth required pam_faillock.so preauth silent deny=3 unlock_time=600'
        echo 'auth [success=1 default=ignore] pam_unix.so'
        echo 'auth [default=die] pam_faillock.so authfail deny=3 unlock_time=600'
        echo 'auth sufficient pam_faillock.so authsucc deny=3 unlock_time=600'
        grep -v common-auth $saved/pam-sudo
    } > /etc/pam.d/sudo ;;
fence)
    mkdir -p -m 700 /var/lib/patchctl
    echo "${2:-11111111-1111-4111-8111-111111111111} ${3:-1} ${4:-7}" > /var/lib/patchctl/fence ;;
hold)
    apt-mark -qq hold "${2:?package}" ;;
no-sudo)
    mv /etc/sudoers.d/ops $saved/sudoers-ops ;;
no-space-tmp)
    mount -t tmpfs -o size=4k,mode=1777 lab-full /tmp
    dd if=/dev/zero of=/tmp/lab-filler bs=4k 2>/dev/null || : ;;
noexec)
    for d in /tmp /var/tmp /dev/shm /home; do
        mount --bind $d $d
        mount -o remount,bind,noexec $d
        echo $d >> $saved/noexec
    done ;;
offer)
    printf '%s' "$3" > "/etc/apt/sources.list.d/lab-offer-$2.sources"
    update_only "sources.list.d/lab-offer-$2.sources" ;;
pin)
    printf 'Package: %s\nPin: version %s\nPin-Priority: 1001\n' "${2:?package}" "$(dpkg-query -W -f '${Version}' "$2")" \
        > /etc/apt/preferences.d/lab-pin ;;
repo-down)
    for f in /etc/apt/sources.list.d/*.sources; do
        [ -e $saved/${f##*/} ] || cp $f $saved/
        sed -i 's#^URIs: http://[^/]*/#URIs: http://127.0.0.1:9/#' $f
    done ;;
ssh-stop)
    systemd-run -q --collect --unit=lab-ssh-back --on-active="${2:?seconds}s" --timer-property=AccuracySec=100ms \
        systemctl start ssh
    systemctl stop ssh
    pkill -KILL -x sshd || : ;;
stale-lists)
    find /var/lib/apt/lists /var/cache/apt /var/lib/apt/periodic -exec touch -d "-${2:-9} days" {} + 2>/dev/null || : ;;
time-skew)
    # The kernel's clock is shared: what new ssh sessions run, sudo too, sees the skew; daemons and static programs do
    # not. (/etc/ld.so.preload would reach more, but the seccomp sandbox of sshd ends an sshd that loads libfaketime.)
    echo "+${2:-93600}" | sed 's/^+-/-/' > /etc/faketimerc
    cp /etc/pam.d/sudo $saved/pam-sudo
    echo 'session required pam_env.so readenv=1' >> /etc/pam.d/sudo
    echo LD_PRELOAD=/usr/lib/lab/libfaketime.so.1 >> /etc/environment ;;
veto)
    mkdir -p /etc/patchctl
    echo "${2:-the owner says no}" > /etc/patchctl/hold ;;
wrong-host-key)  # the key itself is made from outside
    ;;
clear)
    systemctl stop lab-apt-lock lab-ssh-back.timer 2>/dev/null || :
    for d in $(cat $saved/noexec 2>/dev/null); do umount -l $d; done
    while grep -q '^lab-full /tmp ' /proc/mounts; do umount -l /tmp; done
    while grep -q '^lab-full /var/cache' /proc/mounts; do umount -l /var/cache/apt/archives; done
    if grep -q '^lab-full /var ' /proc/mounts; then
        rm -f /var/lab-filler
        umount -l /var
        cp -a $saved/var/. /var/
        umount -l $saved/var $saved/var-below
    fi
    [ ! -e $saved/pam-sudo ] || mv $saved/pam-sudo /etc/pam.d/sudo
    [ ! -e $saved/sudoers-ops ] || mv $saved/sudoers-ops /etc/sudoers.d/ops
    for f in $saved/*.sources; do [ ! -e "$f" ] || mv "$f" /etc/apt/sources.list.d/; done
    for f in /etc/apt/sources.list.d/lab-offer-*.sources; do [ ! -e "$f" ] || rm -f "$f"; done
    rm -f /etc/faketimerc /etc/apt/preferences.d/lab-pin /var/lib/apt/lists/*_lab_dists_lab-*
    [ ! -e /etc/environment ] || sed -i /^LD_PRELOAD=/d /etc/environment
    rm -f /etc/profile.d/lab-chatty.sh /etc/ssh/sshd_config.d/lab-chatty.conf /etc/lab-banner
    for home in /root /home/*; do
        if [ -e $home/.bashrc.lab ]; then mv $home/.bashrc.lab $home/.bashrc
        elif grep -q '^echo "bashrc: fortune' $home/.bashrc 2>/dev/null; then rm -f $home/.bashrc; fi
    done
    rm -rf /etc/patchctl/hold /var/lib/patchctl/fence
    apt-mark showhold | xargs -r apt-mark -qq unhold
    systemctl start ssh
    systemctl reload ssh
    : > /var/lib/lab-half  # so that it lets dpkg live this time
    dpkg --configure -a >/dev/null 2>&1 || :
    rm -rf /var/lib/lab-half $saved ;;
*)
    echo "no fault called $1" >&2
    exit 2 ;;
esac
