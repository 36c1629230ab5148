"""The first half of the program for yum 3 (yum3.py): yum's own base over folders of ours, and the metadata it has.

Python 2.6 reads it. `load` prints `repo|...` and `refresh|...` lines, as program.py says.
"""

from __future__ import annotations

from patchctl.platforms.dnf.program import REFRESH_AFTER

METADATA = r'''
import fnmatch, os, re, shutil, sys, time
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever yum and its plugins print is no answer
import yum, yum.Errors, yum.packages, yum.plugins, yum.i18n, yum.logginglevels, urlgrabber.grabber
from rpmUtils.miscutils import compareEVR as compare

def clean(text):
    if isinstance(text, unicode):
        text = text.encode("utf-8", "replace")
    elif isinstance(text, Exception):
        text = yum.i18n.to_utf8(yum.i18n.exception2msg(text)) if hasattr(yum.i18n, "exception2msg") else str(text)
    return " ".join(str(text).replace("|", "/").split())

def say(*fields):
    out.write("|".join(clean(f) for f in fields) + "\n")

def end(code):
    out.write("end\n")
    out.flush()
    os._exit(code)

def fail(error):
    out.write("E: " + clean(error)[:2000] + "\n")
    end(1)

def evr(p):
    return "%s%s-%s" % ("%s:" % p.epoch if str(p.epoch) not in ("0", "None", "") else "", p.version, p.release)

def copy_tree(source, target, skip):
    """Copy what can be read. Large files that are named by their own hash are linked: nobody writes into those."""
    for folder, folders, names in os.walk(source):
        folders[:] = [f for f in folders if not skip(f)]
        mine = os.path.join(target, os.path.relpath(folder, source))
        if not os.path.isdir(mine):
            os.makedirs(mine)
        for name in names:
            one, two = os.path.join(folder, name), os.path.join(mine, name)
            try:
                if skip(name) or os.path.islink(one) or not os.path.isfile(one) or os.path.exists(two):
                    continue
                if re.match("[0-9a-f]{32,}-", name) and os.path.getsize(one) > 1000000:
                    try:
                        os.link(one, two)
                        continue
                    except EnvironmentError:
                        pass
                shutil.copy2(one, two)
            except EnvironmentError:
                continue  # not readable: as if it were not there, so it is fetched, or told to be missing

ACCESS = ["*subscription-manager", "rhnplugin", "spacewalk", "amazon-id", "*amazon*", "search-disabled-repos"]
CHOICE = ["versionlock", "priorities", "protectbase", "priority", "update-minimal"]

def open_base(work, chosen=True, repositories=True):
    """A base over our own folders. Only plugins that decide what is offered (chosen) or give access to it; others act
    on every run. Without chosen, nothing is hidden by excludes or locks."""
    yum.logginglevels.setFileLog = lambda *words: None  # no log of ours in the host's
    base = yum.YumBase()
    base.preconf.debuglevel = 0
    base.preconf.errorlevel = 0
    base.preconf.disabled_plugins = ["*"]
    base.preconf.enabled_plugins = ACCESS + (CHOICE if chosen else [])
    base.preconf.plugin_types = (yum.plugins.TYPE_CORE, yum.plugins.TYPE_INTERACTIVE)
    # To enable a plugin by name also wakes one that the host has switched off: those are left out.
    for folder in ("/etc/yum/pluginconf.d", "/etc/yum-plugins"):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            try:
                text = open(os.path.join(folder, name)).read()
            except EnvironmentError:
                continue
            if name.endswith(".conf") and not re.search(r"(?mi)^\s*enabled\s*=\s*(1|yes|true|on)\s*$", text):
                base.preconf.enabled_plugins = [p for p in base.preconf.enabled_plugins if p != name[:-5]]
    conf = base.conf
    cache, state = os.path.join(work, "cache"), os.path.join(work, "state")
    packages = lambda name: name in ("packages", "headers") or name.startswith("S.") or name == "timedhosts"
    if repositories:
        copy_tree(conf.cachedir, cache, packages)
        copy_tree(conf._repos_persistdir, state, packages)
    for folder in (cache, state):
        if not os.path.isdir(folder):
            os.makedirs(folder)
    conf.cachedir, conf._repos_persistdir = cache, state
    conf.persistdir = state
    urlgrabber.grabber.default_grabber.opts.timedhosts = os.path.join(cache, "timedhosts")
    conf.assumeyes = False
    conf.keepcache = True
    conf.deltarpm = 0
    if not chosen:
        conf.disable_excludes = ["all"]
    if not repositories:
        base.repos.disableRepo("*")
    for repo in base.repos.listEnabled():
        repo.skip_if_unavailable = False
    base.repos.gpg_import_func = base.repos.gpgca_import_func = None  # a key that is not there is not asked for
    return base

def age_of(repo):
    for name in ("cachecookie", "repomd.xml"):
        try:
            return int(time.time() - os.stat(os.path.join(repo.cachedir, name)).st_mtime)
        except EnvironmentError:
            continue
    return -1

def load(base, mode, tell=True):
    """Set up the repositories; tells the ages and whether a refresh worked."""
    repos = base.repos.listEnabled()
    ages = dict((r.id, age_of(r)) for r in repos)
    for repo in repos:
        if ages[repo.id] >= 0 and not os.path.exists(os.path.join(repo.cachedir, "repomd.xml")):
            ages[repo.id] = -1
    stale = [i for i in ages if ages[i] < 0 or ages[i] > LIMIT]
    fresh = mode == "always" or (mode == "auto" and bool(stale))
    for repo in repos:
        if fresh:  # with an old repomd.xml at hand, yum passes over a repository that does not answer
            for name in ("cachecookie", "repomd.xml", "repomd.xml.asc", "mirrorlist.txt", "metalink.xml"):
                if os.path.exists(os.path.join(repo.cachedir, name)):
                    os.unlink(os.path.join(repo.cachedir, name))
            repo.metadata_expire = 1
        else:
            repo.metadata_expire = repo.mirrorlist_expire = -1
            repo.check_config_file_age = False
            cookie = os.path.join(repo.cachedir, "cachecookie")
            if ages[repo.id] >= 0 and not os.path.exists(cookie):
                open(cookie, "w").close()
    base.conf.cache = 1 if mode == "never" else 0
    base.repos.setCache(base.conf.cache)
    try:
        base.repos.doSetup()
        for repo in repos:
            repo.repoXML
        base.pkgSack
    except yum.Errors.YumBaseError as error:
        if fresh and tell:
            say("refresh", error)
        fail(error)
    if fresh and tell:
        say("refresh", "ok")
    base.patchctl_info = {}
    for repo in base.repos.listEnabled():
        base.patchctl_info[repo.id] = "updateinfo" in repo.repoXML.fileTypes()
        if tell:
            say("repo", repo.id, 0 if fresh else ages.get(repo.id, -1),
                "updateinfo" if base.patchctl_info[repo.id] else "none")
    lost = set(ages) - set(r.id for r in base.repos.listEnabled())
    if lost:
        fail("repository %s was left out by yum" % ", ".join(sorted(lost)))
    if not base.repos.listEnabled():
        fail("no repository is enabled")
'''.replace("LIMIT", str(REFRESH_AFTER))
