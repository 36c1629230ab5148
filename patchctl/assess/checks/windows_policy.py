"""windows_policy: a setting of the local security policy (secedit): passwords, lockout, user rights, options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from patchctl.assess.asking.windows import WindowsValue, once, powershell, properties
from patchctl.assess.asking.windows_repair import POLICY as POLICY_REPAIR
from patchctl.assess.asking.windows_repair import repair_by
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question, Unreadable
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

# secedit writes UTF-16 with sections; names are unique across them. Rights are lists of SIDs, sorted here.
POLICY = powershell("windows-policy", once(r"""
  $file = [IO.Path]::GetTempFileName()
  try {
    $said = & "$env:SystemRoot\System32\secedit.exe" /export /cfg $file /quiet
    if ($LASTEXITCODE -ne 0) { throw "secedit: exit code $LASTEXITCODE $said" }
    [IO.File]::ReadAllLines($file) | Where-Object { $_ -match '^[^\[;].*=' } |
      ForEach-Object { $_ -replace '\s*=\s*', '=' }
  } finally { [IO.File]::Delete($file) }
"""))  # fmt: skip

_SETTINGS = """
MinimumPasswordAge MaximumPasswordAge MinimumPasswordLength PasswordComplexity PasswordHistorySize ClearTextPassword
LockoutBadCount ResetLockoutCount LockoutDuration AllowAdministratorLockout RequireLogonToChangePassword
ForceLogoffWhenHourExpire NewAdministratorName NewGuestName LSAAnonymousNameLookup EnableAdminAccount EnableGuestAccount
"""
_LEGACY_AUDIT = """
AuditSystemEvents AuditLogonEvents AuditObjectAccess AuditPrivilegeUse AuditPolicyChange AuditAccountManage
AuditProcessTracking AuditDSAccess AuditAccountLogon
"""
_KERBEROS = "MaxTicketAge MaxRenewAge MaxServiceAge MaxClockSkew TicketValidateClient"
_NAMES = ("NewAdministratorName", "NewGuestName")
"""Texts, which stand in quotes."""
_RIGHTS = """
AssignPrimaryToken Audit Backup ChangeNotify CreateGlobal CreatePagefile CreatePermanent CreateSymbolicLink CreateToken
Debug DelegateSessionUserImpersonate EnableDelegation Impersonate IncreaseBasePriority IncreaseQuota
IncreaseWorkingSet LoadDriver LockMemory MachineAccount ManageVolume ProfileSingleProcess Relabel RemoteShutdown Restore
Security Shutdown SyncAgent SystemEnvironment SystemProfile Systemtime TakeOwnership Tcb TimeZone TrustedCredManAccess
Undock UnsolicitedInput
"""
_LOGONS = """
BatchLogon DenyBatchLogon DenyInteractiveLogon DenyNetworkLogon DenyRemoteInteractiveLogon DenyServiceLogon
InteractiveLogon NetworkLogon RemoteInteractiveLogon ServiceLogon
"""
KNOWN = frozenset((
    *_SETTINGS.split(), *_LEGACY_AUDIT.split(), *_KERBEROS.split(), *(f"Se{name}Privilege" for name in _RIGHTS.split()),
    *(f"Se{name}Right" for name in _LOGONS.split())))  # fmt: skip
"""What secedit exports where it is set: MS-GPSB 2.2.1 and 2.2.3, learn.microsoft.com "User Rights Assignment".

A right that nobody has is not exported at all, so a misspelt one would look like that.
"""


def section_of(name: str) -> str:
    """Return the section of a security template in which a setting stands: in another it is passed over."""
    if name.startswith("Se"):
        return "Privilege Rights"
    return "Event Audit" if name in _LEGACY_AUDIT.split() else (
        "Kerberos Policy" if name in _KERBEROS.split() else "System Access")


class WindowsPolicy(WindowsValue):
    name = "windows_policy"
    summary = "A setting of the local security policy is as expected; a user right is its SIDs, sorted, with commas."
    arguments = (
        Argument("setting", "text", "as secedit calls it: MinimumPasswordLength, SeDebugPrivilege", required=True),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{setting: MinimumPasswordLength, min: 14}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z]+", args["setting"]):
            yield Flaw("setting", f"{args['setting']!r} is no name of a setting", "write MinimumPasswordLength")
        elif args["setting"] not in KNOWN:
            near = get_close_matches(args["setting"], KNOWN, 1)
            yield Flaw("setting", f"secedit has no setting {args['setting']!r}",
                       f"did you mean {near[0]}?" if near else "secedit /export /cfg FILE shows those that are set")
        yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        name, right = args["setting"], args["setting"].startswith("Se")
        value = "" if args.get("absent") and right else repair_value(args)
        if value is None or not re.fullmatch(r"[A-Za-z0-9,-]*", value):
            return None
        written = ",".join(f"*{sid}" for sid in value.split(",") if sid) if right else value
        text = POLICY_REPAIR.replace("@SECTION@", section_of(name))
        written = f'"{written}"' if name in _NAMES else written
        return repair_by(text, name, written, self.place(args), value or "not set")

    def question(self, args: Args) -> Question:
        return Question(POLICY)

    def place(self, args: Args) -> str:
        return f"secedit {args['setting']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        exported, right = properties(answer), args["setting"].startswith("Se")
        if not any(name.lower() in exported for name in KNOWN if name.startswith("Se") == right):
            raise Unreadable(f"secedit exported no {'user rights' if right else 'settings'} at all")
        found = exported.get(args["setting"].lower())
        if found is None or not right:
            return found.strip('"') if found is not None else None
        return ",".join(sorted(part.strip().lstrip("*") for part in found.split(",") if part.strip())) or None


CHECK = WindowsPolicy()
