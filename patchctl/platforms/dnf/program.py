"""The program that asks dnf 4 through its own library, in dnf's own interpreter: what its command line does not print.

dnf 4 is itself written in Python, so wherever it is, an interpreter with its module is: the first line of /usr/bin/dnf
names it. From Python 3.6 (Enterprise Linux 8) on. It never writes to the host's own caches, but to the folder given.

    program pending MODE WORK        MODE: auto | never | always (refresh)
    program resolve MODE WORK NEVRA...
    program earlier MODE WORK NEVRA...                      where just these versions can be had
    program download DIRECTORY WORK SHA256 FILE NEVRA ...   (three words for each file)
    program check DIRECTORY WORK FILE...                    what installing just these files would change

Lines it prints; fields are separated by `|`, the last may hold anything:

    repo|ID|SECONDS SINCE IT WAS CHECKED|updateinfo or none
    refresh|ok  or  refresh|what went wrong
    change|STATE|NAME|ARCH|FROM|TO|REPO|SIZE|SHA256|SECURITY|SEVERITY|ADVISORIES|CVES|REBOOT|LOCATION
                                       STATE: upgradable, new, held, kept-back; SECURITY: yes, no, ?
    why|NAME|ARCH|TO|reason            for held and kept-back
    removed|NAME|ARCH|VERSION|by what (obsoleted, removed, installonly)
    file|NAME|ARCH|VERSION|REPO|SIZE|URL  and  sum|NAME|ARCH|VERSION|SHA256      (earlier)
    have SHA256  or  miss SHA256 reason
    E: what went wrong
    end
"""

from __future__ import annotations

REFRESH_AFTER = 12 * 3600
"""Seconds after which `auto` refreshes."""

PROGRAM = r'''
import fnmatch, os, shutil, sys, time
import dnf, dnf.rpm, dnf.repo, dnf.subject, dnf.exceptions, hawkey

def clean(text):
    return " ".join(str(text).replace("|", "/").split())

def say(*fields):
    print("|".join(clean(f) for f in fields))

def evr(p):
    return "%s%s-%s" % ("%s:" % p.epoch if str(p.epoch) not in ("0", "None", "") else "", p.version, p.release)

def fail(error):
    print("E: " + clean(error)[:2000])
    print("end")
    sys.stdout.flush()
    os._exit(1)

def open_base(work, repositories=True):
    base = dnf.Base()
    conf = base.conf
    conf.read()
    release = dnf.rpm.detect_releasever(conf.installroot)
    if isinstance(release, str):
        conf.substitutions["releasever"] = release
    if hasattr(conf.substitutions, "update_from_etc"):
        conf.substitutions.update_from_etc(conf.installroot)
    home = conf.cachedir
    conf.cachedir = os.path.join(work, "cache")
    conf.logdir = os.path.join(work, "log")
    conf.persistdir = os.path.join(work, "state")
    conf.assumeyes = False
    conf.keepcache = True
    for folder in (conf.cachedir, conf.logdir, conf.persistdir):
        os.makedirs(folder, exist_ok=True)
    # Only plugins that decide what is offered or give access to it; others act on every run.
    base.init_plugins(disabled_glob=["*"], enable_plugins=["versionlock", "*subscription-manager", "rhnplugin",
        "spacewalk", "*amazon*"])
    base.pre_configure_plugins()
    if repositories:
        base.read_all_repos()
    base.configure_plugins()
    return base, home

def age_of(repo):
    try:
        return int(time.time() - os.stat(os.path.join(repo._repo.getCachedir(), "repodata/repomd.xml")).st_mtime)
    except (EnvironmentError, RuntimeError):  # never fetched, or not readable: stale either way
        return -1

def load(base, mode):
    """Fill the sack; tells the ages and whether a refresh worked."""
    ages = {r.id: age_of(r) for r in base.repos.iter_enabled()}
    stale = [i for i in ages if ages[i] < 0 or ages[i] > LIMIT]
    fresh = mode == "always" or (mode == "auto" and stale)
    for repo in base.repos.iter_enabled():
        if fresh:
            repo.metadata_expire = 0
            repo._repo.expire()
            repo.skip_if_unavailable = False
        else:
            repo._repo.setSyncStrategy(dnf.repo.SYNC_ONLY_CACHE)
            repo.skip_if_unavailable = False
    try:
        base.fill_sack(load_system_repo=True)
    except dnf.exceptions.Error as error:
        if fresh:
            say("refresh", clean(error))
        fail(error)
    if fresh:
        say("refresh", "ok")
    for repo in base.repos.iter_enabled():
        try:
            info = repo._repo.getMetadataPath("updateinfo")
        except RuntimeError:  # libdnf's word for a repository that was not loaded
            info = ""
        say("repo", repo.id, 0 if fresh else ages[repo.id], "updateinfo" if info else "none")
        repo.patchctl_info = bool(info)

RANK = {"critical": 4, "important": 3, "moderate": 2, "low": 1}

def advisories(base, pkg, old):
    """(security, severity, ids, cves, reboot) of what lies between the installed version and this one."""
    repo = base.repos.get(pkg.reponame)  # none for a file given by name
    known = repo is not None and repo.patchctl_info
    found = {}
    try:
        later = old[0].get_advisories(hawkey.GT) if old else []
    except (hawkey.Exception, RuntimeError):
        later, known = [], False  # what was skipped in between is not known: then "no" would be a guess
    for adv in list(pkg.get_advisories(hawkey.EQ)) + list(later):
        for one in adv.packages:
            if one.name == pkg.name and one.arch == pkg.arch:
                if base.sack.evr_cmp(one.evr, pkg.evr) <= 0:
                    found[adv.id] = adv
    security = any(a.type == hawkey.ADVISORY_SECURITY for a in found.values())
    worst, cves, reboot = "", set(), False
    for adv in found.values():
        severity = (adv.severity or "").lower()
        severity = {"medium": "moderate"}.get(severity, severity)  # Amazon Linux calls it so
        if adv.type == hawkey.ADVISORY_SECURITY and RANK.get(severity, 0) > RANK.get(worst, 0):
            worst = severity
        cves.update(r.id for r in adv.references if r.type == hawkey.REFERENCE_CVE and r.id)
        for one in adv.packages:
            if one.name == pkg.name and getattr(one, "reboot_suggested", False):
                reboot = True
    answer = "yes" if security else ("no" if known else "?")
    return answer, worst, ",".join(sorted(found)), ",".join(sorted(cves)), "reboot" if reboot else ""

def sha256(pkg):
    if not pkg.chksum:  # installed, or a file given by name
        return ""
    kind, value = pkg.chksum
    return "".join("%02x" % b for b in bytearray(value)) if hawkey.chksum_name(kind) == "sha256" else ""

def tell(base, state, pkg, installed):
    old = installed.get((pkg.name, pkg.arch), [])
    if not old and pkg.arch != "noarch":
        old = installed.get((pkg.name, "noarch"), [])
    if not old and pkg.arch == "noarch":
        old = next((v for (n, a), v in sorted(installed.items()) if n == pkg.name), [])
    facts = advisories(base, pkg, old)
    where = pkg.location
    if pkg.reponame in base.repos:
        where = pkg.remote_location() or pkg.location
    size = getattr(pkg, "downloadsize", 0)
    say("change", state, pkg.name, pkg.arch, evr(old[0]) if old else "", evr(pkg), pkg.reponame, size, sha256(pkg),
        *(facts + (where,)))

def read_installed(base):
    found = {}
    for pkg in base.sack.query(flags=hawkey.IGNORE_REGULAR_EXCLUDES).installed():
        found.setdefault((pkg.name, pkg.arch), []).append(pkg)
    for rows in found.values():
        rows.sort(reverse=True)
    return found

def work_out(base, goal):
    """Resolve as the host's own dnf would; what stands in the way is left out, with its reason."""
    goal()
    try:
        base.resolve()
        return ""
    except dnf.exceptions.DepsolveError as error:
        base.reset(goal=True)
        base.conf.best = False
        goal()
        base.resolve()
        return clean(error)

def tell_transaction(base, installed, known):
    coming = list(base.transaction.install_set)
    names = set((p.name, p.arch) for p in coming) | set((p.name, None) for p in coming)
    multiple = set(p.name for p in base._get_installonly_query(base.sack.query().installed()))
    told = set()
    for pkg in sorted(coming):
        state = "upgradable" if (pkg.name, pkg.arch) in known or pkg.name in known else "new"
        tell(base, state, pkg, installed)
        told.add((pkg.name, pkg.arch, evr(pkg)))
    for pkg in sorted(base.transaction.remove_set):
        if (pkg.name, None) in names:
            if pkg.name in multiple:
                say("removed", pkg.name, pkg.arch, evr(pkg), "installonly")
            continue
        say("removed", pkg.name, pkg.arch, evr(pkg), "obsoleted")
    return told

def lock_lines():
    try:
        with open("/etc/dnf/plugins/versionlock.list", errors="replace") as text:
            return [x.strip() for x in text if x.strip() and x[0] not in "#"]
    except EnvironmentError:  # only words for a reason: dnf.holds says itself when it cannot read them
        return []

def why_held(base, pkg):
    for where, specs in [("dnf.conf", base.conf.excludepkgs)] + [
            (r.id, r.excludepkgs) for r in base.repos.iter_enabled() if r.id == pkg.reponame]:
        for spec in specs:
            query = dnf.subject.Subject(spec).get_best_query(base.sack, with_provides=False,
                query=base.sack.query(flags=hawkey.IGNORE_REGULAR_EXCLUDES))
            if pkg in query:
                return "excluded by %s (%s)" % (spec, where)
    for line in lock_lines():
        if line.lstrip("!").startswith(pkg.name + "-"):
            return "held by versionlock: " + line
    return "excluded by the host's configuration"

def pending(base):
    installed = read_installed(base)
    known = set(name for name, arch in installed)
    wanted = list(base.sack.query().upgrades().filter(arch__neq=["src", "nosrc"]).latest())
    problem = work_out(base, base.upgrade_all)
    told = tell_transaction(base, installed, known)
    for pkg in sorted(wanted):
        if (pkg.name, pkg.arch, evr(pkg)) not in told:
            tell(base, "kept-back", pkg, installed)
            lines = [x for x in problem.split("Problem") if pkg.name in x] or [problem]
            say("why", pkg.name, pkg.arch, evr(pkg), lines[0].strip(" :")[:400] or "dnf keeps it back")
    free = set((p.name, p.arch, evr(p)) for p in wanted) | told
    hidden = base.sack.query(flags=hawkey.IGNORE_REGULAR_EXCLUDES).upgrades()
    for pkg in sorted(hidden.filter(arch__neq=["src", "nosrc"]).latest()):
        if (pkg.name, pkg.arch, evr(pkg)) not in free:
            tell(base, "held", pkg, installed)
            say("why", pkg.name, pkg.arch, evr(pkg), why_held(base, pkg))

def resolve(base, words):
    installed = read_installed(base)
    known = set(name for name, arch in installed)
    def goal():
        for word in words:
            try:
                base.install(word, strict=True)
            except dnf.exceptions.MarkingError as error:
                fail("%s: %s" % (error, word))
    goal()
    try:
        base.resolve()
    except dnf.exceptions.DepsolveError as error:
        fail(error)
    tell_transaction(base, installed, known)

def earlier(base, words):
    for word in words:
        query = dnf.subject.Subject(word).get_best_query(base.sack, with_provides=False, query=base.sack.query(
            flags=hawkey.IGNORE_EXCLUDES).available())
        for pkg in sorted(query):
            digest = sha256(pkg)
            if digest:
                say("sum", pkg.name, pkg.arch, evr(pkg), digest)
                say("file", pkg.name, pkg.arch, evr(pkg), pkg.reponame, pkg.downloadsize,
                    pkg.remote_location() or pkg.location)

def download(base, directory, work, words):
    """Fetch with the host's own dnf: its proxies, certificates and credentials."""
    rows = [words[i:i + 3] for i in range(0, len(words), 3)]
    wanted, errors = {}, {}
    for digest, name, nevra in rows:
        query = dnf.subject.Subject(nevra).get_best_query(base.sack, with_provides=False, query=base.sack.query(
            flags=hawkey.IGNORE_EXCLUDES).available())
        match = [p for p in query if sha256(p) == digest]
        if match:
            wanted[digest] = match[0]
        else:
            errors[digest] = "no source of this host lists it with that hash"
    for digest, name, nevra in rows:
        pkg = wanted.get(digest)
        if pkg is None:
            continue
        try:
            base.download_packages([pkg])
            os.rename(shutil.copy(pkg.localPkg(), os.path.join(directory, name + ".part")),
                      os.path.join(directory, name))
        except (dnf.exceptions.Error, EnvironmentError) as error:
            errors[digest] = clean(error)
    for digest, name, nevra in rows:
        print("miss %s %s" % (digest, errors[digest][:200]) if digest in errors else "have " + digest)

def locked(base, pkg):
    """Return the versionlock entry that forbids this version, or "": the plugin passes over files given by name."""
    if "versionlock" not in [p.name for p in base._plugins.plugins]:
        return ""
    everything, about = base.sack.query(flags=hawkey.IGNORE_EXCLUDES), ""
    for line in sorted(lock_lines(), key=lambda x: not x.startswith("!")):
        subject = dnf.subject.Subject(line.lstrip("!"))
        match = pkg in subject.get_best_query(base.sack, with_provides=False, with_filenames=False, query=everything)
        if match:
            return line if line.startswith("!") else ""
        if not line.startswith("!") and [n for n in subject.get_nevra_possibilities()
                                         if n.name and fnmatch.fnmatch(pkg.name, n.name)]:
            about = line
    return about

def check(base, directory, words):
    """Tell what installing these files would do, without any other source."""
    installed = read_installed(base)
    known = set(name for name, arch in installed)
    for pkg in base.add_remote_rpms([os.path.join(directory, w) for w in words]):
        lock = locked(base, pkg)
        if lock:
            fail("%s-%s.%s is held by versionlock: %s" % (pkg.name, evr(pkg), pkg.arch, lock))
        old = installed.get((pkg.name, pkg.arch)) or installed.get((pkg.name, "noarch")) or []
        if old and base.sack.evr_cmp(old[0].evr, pkg.evr) > 0:
            base.package_downgrade(pkg, strict=True)
        else:
            base.package_install(pkg, strict=True)
    try:
        base.resolve()
    except dnf.exceptions.DepsolveError as error:
        fail(error)
    tell_transaction(base, installed, known)

def main():
    task, where, work, words = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    try:
        base, home = open_base(work, repositories=task != "check")
        if task == "check":
            base.fill_sack(load_system_repo=True, load_available_repos=False)
            check(base, where, words)
        elif task == "download":
            load(base, "auto")
            download(base, where, work, words)
        else:
            if not list(base.repos.iter_enabled()):
                fail("no repository is enabled")
            load(base, where)
            if task == "pending":
                pending(base)
            else:
                {"resolve": resolve, "earlier": earlier}[task](base, words)
    except (dnf.exceptions.Error, hawkey.Exception, RuntimeError, EnvironmentError) as error:
        fail("%s: %s" % (type(error).__name__, error))  # any other ends it too: its last line is told, and no `end`
    print("end")
    sys.stdout.flush()
    os._exit(0)

main()
'''.replace("LIMIT", str(REFRESH_AFTER))
