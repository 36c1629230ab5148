"""The program that asks yum 3 through its own library, in yum's own interpreter: as program.py does for dnf 4, with the
same tasks and the same lines.

yum is itself written in Python 2 (2.6 on Enterprise Linux 6, 2.7 on 7 and Amazon Linux 2): the first line of
/usr/bin/yum names the interpreter. Its command line would not do: `yum -q check-update` of Enterprise Linux 7 prints no
list at all, others break rows in several lines, and none tells hashes. It never writes to the host's own caches and
state, but to the folder given.
"""

from __future__ import annotations

from patchctl.platforms.dnf.yum3_metadata import METADATA

YUM_PROGRAM = METADATA + r'''
RANK = {"critical": 4, "important": 3, "moderate": 2, "low": 1}

def tuple_of(p):
    return (str(p.epoch or "0"), str(p.version), str(p.release))

def advisories(base, pkg, old):
    """(security, severity, ids, cves, reboot) of what lies between the installed version and this one."""
    known = base.patchctl_info.get(pkg.repoid, False)
    found = {}
    for notice in base.upinfo.get_notices(pkg.name) if base.patchctl_info else []:
        for part in notice["pkglist"] or []:
            for one in part["packages"]:
                if one["name"] != pkg.name or one["arch"] != pkg.arch:
                    continue
                its = (str(one["epoch"] or "0"), str(one["version"]), str(one["release"]))
                after = compare(its, tuple_of(old[0])) > 0 if old else compare(its, tuple_of(pkg)) == 0
                if after and compare(its, tuple_of(pkg)) <= 0:
                    found[notice["update_id"]] = notice
    worst, cves, reboot, security = "", set(), False, False
    for notice in found.values():
        mine = notice["type"] == "security"
        security = security or mine
        severity = str(notice["severity"] or "").lower() if "severity" in notice else ""
        severity = {"medium": "moderate"}.get(severity, severity)
        if mine and RANK.get(severity, 0) > RANK.get(worst, 0):
            worst = severity
        cves.update(r["id"] for r in notice["references"] or [] if r["type"] == "cve" and r["id"])
        reboot = reboot or bool("reboot_suggested" in notice and notice["reboot_suggested"])
    answer = "yes" if security else ("no" if known else "?")
    return answer, worst, ",".join(sorted(found)), ",".join(sorted(cves)), "reboot" if reboot else ""

def is_local(pkg):
    return isinstance(pkg, yum.packages.YumLocalPackage)

def sha256(pkg):
    if is_local(pkg):
        return ""
    kind, value = pkg.returnIdSum()
    return value if kind == "sha256" else ""

def url_of(pkg):
    return pkg.localpath if is_local(pkg) else pkg.remote_url

def tell(base, state, pkg, installed):
    old = installed.get((pkg.name, pkg.arch), [])
    if not old and pkg.arch != "noarch":
        old = installed.get((pkg.name, "noarch"), [])
    if not old and pkg.arch == "noarch":
        old = next((v for (n, a), v in sorted(installed.items()) if n == pkg.name), [])
    facts = advisories(base, pkg, old)
    where = "" if is_local(pkg) else pkg.repoid
    say("change", state, pkg.name, pkg.arch, evr(old[0]) if old else "", evr(pkg), where, pkg.packagesize or 0,
        sha256(pkg), *(facts + (url_of(pkg),)))

def read_installed(base):
    found = {}
    for pkg in base.rpmdb.returnPackages():
        found.setdefault((pkg.name, pkg.arch), []).append(pkg)
    for rows in found.values():
        rows.sort(reverse=True)
    return found

def build(base):
    """Resolve; return why it cannot be done, or ""."""
    code, words = base.buildTransaction(unfinished_transactions_check=False)
    return "" if code in (0, 2) else " ".join(clean(w) for w in words) or "yum could not resolve it"

def tell_transaction(base, installed):
    members = base.tsInfo.getMembers()
    coming = [t.po for t in members if t.ts_state in ("u", "i")]
    known, names, told = set(name for name, arch in installed), set(p.name for p in coming), set()
    for pkg in sorted(coming):
        tell(base, "upgradable" if pkg.name in known else "new", pkg, installed)
        told.add((pkg.name, pkg.arch, evr(pkg)))
    for member in sorted(members, key=lambda t: t.po):
        pkg = member.po
        if member.ts_state == "e" and pkg.name in names and base.allowedMultipleInstalls(pkg):
            say("removed", pkg.name, pkg.arch, evr(pkg), "installonly")
        elif member.ts_state in ("e", "od") and pkg.name not in names:
            say("removed", pkg.name, pkg.arch, evr(pkg), "obsoleted" if member.ts_state == "od" else "removed")
    return told

def lock_lines():
    name = "/etc/yum/pluginconf.d/versionlock.list"
    try:
        for line in open("/etc/yum/pluginconf.d/versionlock.conf"):
            found = re.match(r"\s*locklist\s*=\s*(/\S+)", line)
            name = found.group(1) if found else name
        return [x.strip() for x in open(name) if x.strip() and not x.startswith("#")]
    except EnvironmentError:  # only words for a reason: dnf.holds says itself when it cannot read them
        return []

def why_held(base, pkg):
    forms = (pkg.name, "%s.%s" % (pkg.name, pkg.arch), "%s-%s" % (pkg.name, evr(pkg)),
             "%s-%s-%s.%s" % (pkg.name, pkg.version, pkg.release, pkg.arch))
    for where, specs in [("yum.conf", base.conf.exclude)] + [
            (r.id, r.exclude) for r in base.repos.listEnabled() if r.id == pkg.repoid]:
        for spec in specs:
            if [f for f in forms if fnmatch.fnmatch(f, spec)]:
                return "excluded by %s (%s)" % (spec, where)
    for line in lock_lines():
        if re.sub(r"^!?(\d+:)?", "", line).startswith(pkg.name + "-"):
            return "held by versionlock: " + line
    return "excluded by the host's configuration"

def pending(base, work):
    installed = read_installed(base)
    wanted = base.doPackageLists(pkgnarrow="updates").updates
    base.update()
    problem, whole = build(base), base
    if problem:
        whole = open_base(os.path.join(work, "again"))
        reload_as(whole, base)
        whole.conf.skip_broken = True
        whole.update()
        left = build(whole)
        if left:
            fail(left)
    told = tell_transaction(whole, installed)
    for pkg in sorted(wanted):
        if (pkg.name, pkg.arch, evr(pkg)) not in told:
            tell(base, "kept-back", pkg, installed)
            lines = [x for x in problem.split("Error: ") if pkg.name in x] or [problem]
            say("why", pkg.name, pkg.arch, evr(pkg), lines[0].strip()[:400] or "yum keeps it back")
    hiding = [r for r in base.repos.listEnabled() if r.exclude or r.includepkgs]
    if not (hiding or base.conf.exclude or lock_lines()):
        return
    free = set((p.name, p.arch, evr(p)) for p in wanted) | told
    bare = open_base(os.path.join(work, "bare"), chosen=False)
    reload_as(bare, base)
    for pkg in sorted(bare.doPackageLists(pkgnarrow="updates").updates):
        if (pkg.name, pkg.arch, evr(pkg)) not in free:
            tell(bare, "held", pkg, installed)
            say("why", pkg.name, pkg.arch, evr(pkg), why_held(bare, pkg))

def reload_as(base, before):
    """Let a second base see the very same metadata as the first."""
    copy_tree(before.conf.cachedir, base.conf.cachedir, lambda name: False)
    for repo in base.repos.listEnabled():
        for name in ("repomd.xml", "cachecookie"):
            one = os.path.join(before.conf.cachedir, repo.id, name)
            if os.path.exists(one):
                shutil.copy2(one, os.path.join(base.conf.cachedir, repo.id, name))
    load(base, "kept", tell=False)

def parts(word):
    """name, epoch, version, release, arch of NAME-[EPOCH:]VERSION-RELEASE.ARCH"""
    rest, arch = word.rsplit(".", 1)
    name, version, release = rest.rsplit("-", 2)
    epoch, colon, version = version.rpartition(":")
    return name, epoch or "0", version, release, arch

def search(base, word):
    name, epoch, version, release, arch = parts(word)
    return base.pkgSack.searchNevra(name=name, epoch=epoch, ver=version, rel=release, arch=arch)

def add(base, pkg):
    """Mark one package to be put there: beside, over, or below what is installed."""
    same = [p for p in base.rpmdb.searchNevra(name=pkg.name) if p.arch == pkg.arch or "noarch" in (p.arch, pkg.arch)]
    if same and not base.allowedMultipleInstalls(pkg):
        if compare(tuple_of(pkg), tuple_of(max(same))) < 0:
            return base.downgrade(po=pkg)
        return base.update(po=pkg)
    return base.install(po=pkg)

def resolve(base, words):
    installed = read_installed(base)
    for word in words:
        match = search(base, word)
        if not match:
            fail("no source of this host lists %s" % word)
        add(base, match[0])
    problem = build(base)
    if problem:
        fail(problem)
    tell_transaction(base, installed)

def earlier(base, words):
    for word in words:
        for pkg in search(base, word):
            digest = sha256(pkg)
            if digest:
                say("sum", pkg.name, pkg.arch, evr(pkg), digest)
                say("file", pkg.name, pkg.arch, evr(pkg), pkg.repoid, pkg.packagesize, url_of(pkg))

def download(base, directory, words):
    """Fetch with the host's own yum: its proxies, certificates and credentials."""
    for digest, name, nevra in [words[i:i + 3] for i in range(0, len(words), 3)]:
        match = [p for p in search(base, nevra) if sha256(p) == digest]
        if not match:
            out.write("miss %s no source of this host lists it with that hash\n" % digest)
            continue
        try:
            errors = base.downloadPkgs(match[:1])
            if errors:
                out.write("miss %s %s\n" % (digest, clean(list(errors.values())[0][0])[:200]))
                continue
            part = os.path.join(directory, name + ".part")
            shutil.copy(match[0].localPkg(), part)
            os.rename(part, os.path.join(directory, name))
            out.write("have %s\n" % digest)
        except (yum.Errors.YumBaseError, urlgrabber.grabber.URLGrabError, EnvironmentError) as error:
            out.write("miss %s %s\n" % (digest, clean(error)[:200]))

def locked(base, pkg):
    """Return the versionlock entry that forbids this version, or "": the plugin passes over files given by name."""
    if "versionlock" not in getattr(base.plugins, "_plugins", {}):
        return ""
    about, full = "", "%s:%s-%s-%s.%s" % (pkg.epoch or "0", pkg.name, pkg.version, pkg.release, pkg.arch)
    for line in sorted(lock_lines(), key=lambda x: not x.startswith("!")):
        entry = line.lstrip("!")
        parts = re.match(r"(?:\d+:)?(.+)-[^-]+-[^-]+$", entry)
        if not re.match(r"\d+:", entry):
            entry = "*:" + entry
        if fnmatch.fnmatch(full, entry):
            return line if line.startswith("!") else ""
        if not line.startswith("!") and parts and fnmatch.fnmatch(pkg.name, parts.group(1)):
            about = line
    return about

def check(base, directory, words):
    """Tell what installing these files would do, without any other source."""
    installed = read_installed(base)
    base.patchctl_info = {}
    for word in words:
        path = os.path.join(directory, word)
        pkg = yum.packages.YumLocalPackage(ts=base.rpmdb.readOnlyTS(), filename=path)
        lock = locked(base, pkg)
        if lock:
            fail("%s-%s.%s is held by versionlock: %s" % (pkg.name, evr(pkg), pkg.arch, lock))
        old = installed.get((pkg.name, pkg.arch)) or installed.get((pkg.name, "noarch")) or []
        if [p for p in old if compare(tuple_of(pkg), tuple_of(p)) == 0]:
            continue  # put there by an attempt that was cut
        down = old and compare(tuple_of(pkg), tuple_of(old[0])) < 0 and not base.allowedMultipleInstalls(pkg)
        if not (base.downgradeLocal(path) if down else base.installLocal(path)):
            fail("yum would do nothing with %s" % word)
    problem = build(base)
    if problem:
        fail(problem)
    tell_transaction(base, installed)

def main():
    task, where, work, words = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    try:
        base = open_base(work, chosen=task in ("pending", "resolve", "check"), repositories=task != "check")
        if task == "check":
            check(base, where, words)
        elif task == "download":
            load(base, "auto")
            download(base, where, words)
        else:
            if not base.repos.listEnabled():
                fail("no repository is enabled")
            load(base, where)
            if task == "pending":
                pending(base, work)
            else:
                {"resolve": resolve, "earlier": earlier}[task](base, words)
    except (yum.Errors.YumBaseError, yum.plugins.PluginYumExit, EnvironmentError) as error:
        fail("%s: %s" % (type(error).__name__, clean(error)))  # any other ends it too: its last line is told, no `end`
    end(0)

main()
'''
