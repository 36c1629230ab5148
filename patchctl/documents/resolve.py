"""The draft with all levels -> the Inventory of frozen hosts. Pure.

Hosts in the same groups and site share what those say: it is merged once, so that 5,000 hosts cost little more than
their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from patchctl.documents.ansible_connection import (
    SECRETS,
    VARIABLES,
    WINRM_OWN,
    Raw,
    Scope,
    ansible_settings,
    resolve_setting,
)
from patchctl.documents.connection import SettingError, build_connection
from patchctl.documents.draft import Draft, Entry, Level, Place, Setting
from patchctl.documents.loader import Vaulted
from patchctl.documents.names import ADDRESS, USER
from patchctl.documents.source import Findings, suggest
from patchctl.model.hosts import Group, HealthCheck, Host, Inventory, SecretRef, Site

# What describes a site or a group rather than its hosts.
_WHERE = ("address", "port", "user", "connection", "become", "become.method", "become.user")
"""Settings without which it is not known where, how or as whom a host is reached: nothing else is tried instead."""
_WHERE_VARIABLES = tuple(f"{name}:" for name, key in VARIABLES.items() if key in _WHERE)
_NOT_OF_HOSTS = ("forks", "timeout_factor", "max_down")
WITHOUT_EFFECT = ("auth", "updates", "drain", "bandwidth")


class _Said(Struct, frozen=True):
    """A setting and the level that says so; a higher weight is a stronger level."""

    setting: Setting
    origin: str
    """file:line:column (level): made once, shared by all hosts below the level."""
    weight: int


class _Merged(Struct, frozen=True):
    """What the levels say so far, the strongest for each key."""

    settings: Mapping[str, _Said]
    variables: Mapping[str, _Said]
    health: Mapping[HealthCheck, _Said]
    vaulted: tuple[str, ...] = ()
    """Wholly encrypted variable files, weakest first: what is in them is unknown here."""
    weight: int = 0


def resolve_inventory(draft: Draft, findings: Findings) -> Inventory:
    """Given a draft, return the inventory; what contradicts itself goes to `findings`."""
    return _Resolver(draft, findings).resolve()


class _Resolver:
    def __init__(self, draft: Draft, findings: Findings) -> None:
        self.draft = draft
        self.findings = findings
        self.depths = self.group_depths()
        self.parents: dict[str, list[str]] = {}
        for group in draft.groups.values():
            for child in group.children:
                self.parents.setdefault(child, []).append(group.name)
        self.merged: dict[tuple[frozenset[str], str], _Merged] = {}
        self.ancestors: dict[frozenset[str], tuple[str, ...]] = {}
        self.plain_hosts: dict[tuple[frozenset[str], str], Host] = {}

    def resolve(self) -> Inventory:
        for level in (*(g.own for g in self.draft.groups.values()), *(h.own for h in self.draft.hosts.values())):
            said = level.settings.get("site")
            if said and said.value not in self.draft.sites:
                self.problem(said.place, "unknown-site", f"there is no site {said.value!r}",
                             suggest(str(said.value), self.draft.sites))
        direct: dict[str, set[str]] = {name: set() for name in self.draft.hosts}
        for group in self.draft.groups.values():
            for member in group.hosts:
                direct.setdefault(member, set()).add(group.name)
        hosts: dict[str, Host] = {}
        members: dict[str, list[str]] = {name: [] for name in self.draft.groups}
        for name, entry in self.draft.hosts.items():
            host = hosts[name] = self.host(name, entry, frozenset(direct[name]))
            for group_name in host.groups:
                members[group_name].append(name)
        groups = {name: self.group(name, members[name]) for name in self.draft.groups}
        sites = {name: self.site(name, level) for name, level in self.draft.sites.items()}
        return Inventory(hosts, groups, sites, tuple(self.draft.sources))

    def group_depths(self) -> dict[str, int]:
        """Return each group's depth: the longest way from a top group. Cycles and unknown children are problems."""
        depths: dict[str, int] = {}
        reached: dict[str, int] = {}
        groups = self.draft.groups
        for group in groups.values():
            for child, place in list(group.children.items()):
                if child not in groups:
                    self.problem(place, "unknown-group", f"there is no group {child!r}", suggest(child, groups))
                    del group.children[child]
        waiting = dict.fromkeys(groups, 0)
        for group in groups.values():
            for child in group.children:
                waiting[child] += 1
        while len(depths) < len(groups):
            ready = [name for name, count in waiting.items() if count == 0 and name not in depths]
            if not ready:
                self.break_cycle(waiting, depths)
                continue
            for name in ready:
                depths[name] = reached.get(name, 0) + 1
                for child in groups[name].children:
                    waiting[child] -= 1
                    reached[child] = max(reached.get(child, 0), depths[name])
        return depths

    def break_cycle(self, waiting: dict[str, int], depths: Mapping[str, int]) -> None:
        """Report one cycle among the groups without a depth, and take its last link out."""
        groups = self.draft.groups
        parents = {child: name for name in groups if name not in depths for child in groups[name].children}
        way = [next(name for name in groups if name not in depths)]
        while parents[way[-1]] not in way:
            way.append(parents[way[-1]])
        first = parents[way[-1]]
        cycle = [*way[way.index(first) :], first][::-1]
        parent, child = cycle[-2], cycle[-1]
        self.problem(groups[parent].children[child], "group-cycle",
                     f"a group cannot contain itself: {' > '.join(cycle)}")
        del groups[parent].children[child]
        waiting[child] -= 1

    def all_groups(self, direct: frozenset[str]) -> tuple[str, ...]:
        """Return a host's groups, weakest first: by depth, priority, name."""
        found = self.ancestors.get(direct)
        if found is None:
            seen: set[str] = set()
            queue = list(direct)
            while queue:
                name = queue.pop()
                if name not in seen:
                    seen.add(name)
                    queue += self.parents.get(name, [])
            groups = self.draft.groups
            found = tuple(sorted(seen, key=lambda n: (self.depths[n], groups[n].priority, n)))
            self.ancestors[direct] = found
        return found

    def host(self, name: str, entry: Entry, direct: frozenset[str]) -> Host:
        groups = self.all_groups(direct)
        site = self.site_of(name, entry.own, groups)
        key = (direct, site)
        base = self.merged.get(key)
        if base is None:
            base = self.merged[key] = self.merge(groups, site)
        shared = self.plain_hosts.get(key) if not entry else None
        if shared is not None and name not in map(_jump_host, shared.connection.jump):
            return Host(name, shared.connection, shared.groups, site, shared.variables, shared.origins, shared.health,
                        shared.reboot, shared.frozen, shared.intermittent, shared.ignored, shared.unresolved)
        merged = base
        for level in (entry.inline, entry.files, entry.own):
            merged = _add_level(merged, level, "host")
        host, shareable = self.build(name, merged, groups, site)
        if not entry and shareable:
            self.plain_hosts[key] = host
        return host

    def build(self, name: str, merged: _Merged, groups: tuple[str, ...], site: str) -> tuple[Host, bool]:
        """Return the host, and whether hosts with the same levels look just like it."""
        scope = Scope(name, {key: said.setting.value for key, said in merged.variables.items()}, merged.vaulted)
        settings, secret_names, ignored = self.settings_of(merged, scope)
        unresolved = next((text for text in ignored if text.startswith(_WHERE_VARIABLES)), "")
        self.check_names(name, settings, merged)
        origins = {key: said.origin for key, said in merged.settings.items()}
        origins.update({f"vars.{key}": said.origin for key, said in merged.variables.items()})
        origins.update({f"health.{check.kind}": said.origin for check, said in merged.health.items()})
        for path in merged.vaulted:
            ignored.append(f"{path}: encrypted as a whole, its variables are only known as secrets")
        factor = site_level.settings["timeout_factor"].value if (
            (site_level := self.draft.sites.get(site)) and "timeout_factor" in site_level.settings) else 1.0

        def place_of(key: str) -> str:
            return str(merged.settings[key].setting.place) if key in merged.settings else ""

        _take_winrm(settings, origins)
        jump = settings.get("jump", ())
        own_names = (name, settings.get("address", name))
        is_own_jump = any(_jump_host(hop) in own_names for hop in jump)
        if is_own_jump:
            # A bastion is often listed in the site it guards: nobody jumps through itself.
            settings["jump"] = jump[: next(i for i, hop in enumerate(jump) if _jump_host(hop) in own_names)]
            ignored.append(f"jump: the host is its own jump host ({place_of('jump')})")
        host = Host(
            name=name, connection=build_connection(settings, place_of, factor), groups=tuple(sorted(groups)), site=site,
            variables={key: _without_secret(key, value, merged.variables[key], secret_names)
                       for key, value in scope.variables.items()},
            origins=origins, health=tuple(merged.health), reboot=settings.get("reboot", ""),
            frozen=settings.get("frozen"), intermittent=settings.get("intermittent"), ignored=tuple(ignored),
            unresolved=unresolved,
        )
        return host, not scope.by_host and not is_own_jump

    def check_names(self, name: str, settings: Mapping[str, Any], merged: _Merged) -> None:
        """Refuse addresses and users that would be options, shell text or two words: whatever file they came from."""
        for key, pattern, code in (("address", ADDRESS, "invalid-address"), ("user", USER, "invalid-user")):
            value = settings.get(key)
            if value and not pattern.fullmatch(str(value)):
                self.problem(merged.settings[key].setting.place, code, f"host {name!r}: {value!r} is no {key}",
                             "write a host name or an IP address" if key == "address" else "write a login name")

    def settings_of(self, merged: _Merged, scope: Scope) -> tuple[dict[str, Any], set[str], list[str]]:
        """Return resolved settings, the names of variables that hold secrets, and what was ignored, in words."""
        settings: dict[str, Any] = {}
        secret_names: set[str] = set()
        ignored: list[str] = []
        for key, said in merged.settings.items():
            raw = said.setting.value
            if not isinstance(raw, Raw):
                settings[key] = raw
                if key in WITHOUT_EFFECT:
                    ignored.append(f"{key}: accepted, without effect yet ({said.setting.place})")
                continue
            scope.used.clear()
            if key in SECRETS:
                secret_names.add(raw.variable)
            try:
                resolved = resolve_setting(key, said.setting, scope)
            except SettingError as error:
                ignored.append(f"{raw.variable}: {error} ({said.setting.place})")
                continue
            if key in SECRETS:
                secret_names |= scope.used
            for inner, value in resolved.items():
                rival = merged.settings.get(inner)
                if inner == key or rival is None or rival.weight < said.weight:
                    settings[inner] = value
        ignored += [f"{key}: the template is kept as text ({said.setting.place})"
                    for key, said in merged.variables.items()
                    if key not in VARIABLES and isinstance(said.setting.value, str) and "{{" in said.setting.value]
        return settings, secret_names, ignored

    def site_of(self, name: str, own: Level, groups: Sequence[str]) -> str:
        """Return a host's site. Two sites of equal weight are a problem: a device is in one place."""
        said = [(self.depths[g], self.draft.groups[g].own.settings["site"]) for g in groups
                if "site" in self.draft.groups[g].own.settings]
        if "site" in own.settings:
            chosen = own.settings["site"]
        elif said:
            depth, chosen = said[-1]
            other = next((s for d, s in said if d == depth and s.value != chosen.value), None)
            if other is not None:
                self.problem(chosen.place, "conflicting-site",
                             f"host {name!r} is in site {chosen.value!r} here and in {other.value!r} at {other.place}",
                             "set site: on the host itself")
        else:
            return ""
        return str(chosen.value)

    def merge(self, groups: Iterable[str], site: str) -> _Merged:
        merged = _add_level(_Merged({}, {}, {}), self.draft.defaults, "defaults")
        merged = _add_level(merged, self.draft.everyone.inline, "group all")
        if site in self.draft.sites:
            merged = _add_level(merged, self.draft.sites[site], f"site {site}")
        # Ansible reads the variable files of every group after what all inventories say of any group.
        if not groups:
            merged = _add_level(merged, self.draft.ungrouped.inline, "group ungrouped")
        for name in groups:
            merged = _add_level(merged, self.draft.groups[name].inline, f"group {name}")
        merged = _add_level(merged, self.draft.everyone.files, "group all")
        if not groups:
            merged = _add_level(merged, self.draft.ungrouped.files, "group ungrouped")
        for name in groups:
            merged = _add_level(merged, self.draft.groups[name].files, f"group {name}")
        for name in groups:
            merged = _add_level(merged, self.draft.groups[name].own, f"group {name}")
        return merged

    def group(self, name: str, members: list[str]) -> Group:
        entry = self.draft.groups[name]
        limit = entry.own.settings.get("max_down")
        return Group(name, tuple(members), tuple(entry.children), limit.value if limit else None)

    def site(self, name: str, level: Level) -> Site:
        said = {key: setting.value for key, setting in level.settings.items()}
        return Site(
            name, jump=tuple(said.get("jump", ())), forks=said.get("forks"),
            timeout_factor=said.get("timeout_factor", 1.0), relays=tuple(said.get("relays", ())),
            bandwidth=said.get("bandwidth", ""),
        )

    def problem(self, place: Place, code: str, message: str, hint: str = "") -> None:
        self.findings.add(place.source.problem(place.line, place.column, code, message, hint))


def _add_level(base: _Merged, level: Level, label: str) -> _Merged:
    """Return `base` with one stronger level on top; Ansible's connection variables act as settings of their level."""
    if not level:
        return base
    weight = base.weight + 1

    def said(setting: Setting) -> _Said:
        return _Said(setting, f"{setting.place} ({label})", weight)

    settings = dict(base.settings)
    for layer in (ansible_settings(level.variables), level.settings):
        settings.update({key: said(setting) for key, setting in layer.items() if key not in _NOT_OF_HOSTS})
    variables = {**base.variables, **{key: said(setting) for key, setting in level.variables.items()}}
    health = {**base.health, **{c: said(setting) for c, setting in level.health.items() if c not in base.health}}
    return _Merged(settings, variables, health, (*base.vaulted, *level.vaulted), weight)


def _take_winrm(settings: dict[str, Any], origins: dict[str, str]) -> None:
    """Let `ansible_winrm_user` and its like count on hosts that are reached over WinRM, and nowhere else."""
    for key in WINRM_OWN:
        origin, value = origins.pop(f"winrm.{key}", ""), settings.pop(f"winrm.{key}", None)
        if value is not None and settings.get("connection") == "winrm":
            settings[key], origins[key] = value, origin


def _jump_host(hop: str) -> str:
    """Return the host of [user@]host[:port]."""
    return hop.rpartition("@")[2].partition(":")[0]


def _without_secret(key: str, value: Any, said: _Said, secret_names: set[str]) -> Any:
    """Return a variable's value, or a reference in its place if it is or holds a secret."""
    if isinstance(value, Vaulted):
        return SecretRef("vault", str(value), str(said.setting.place))
    if key in secret_names and not (isinstance(value, str) and "{{" in value):
        return SecretRef("plain", str(value), str(said.setting.place))
    return value
