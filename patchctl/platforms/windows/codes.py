"""Exit codes and HRESULTs of Windows' installers as data: what each means, whether it passes, what helps.

Sources: Windows Installer error codes (learn.microsoft.com, "MsiExec.exe and InstMsi.exe error messages"), Windows
Update Agent error codes (wuerror.h, learn.microsoft.com "Windows Update error codes by component"), winerror.h.
Never compared with a live Windows.
"""

from __future__ import annotations

from msgspec import Struct


class Code(Struct, frozen=True):
    """What one exit code or HRESULT says."""

    number: int
    """Unsigned, 32 bits."""
    name: str
    """kebab-case, the failure signature's name."""
    meaning: str
    cls: str = "patch"
    """Class of the diagnosis (rollout/diagnose.py)."""
    ok: bool = False
    """The change is in place, or will be after a reboot."""
    reboot: bool = False
    """A reboot completes it, or must come first."""
    transient: bool = False
    remedy: str = ""


INSTALLER: tuple[Code, ...] = (
    Code(0, "success", "done", ok=True),
    Code(3010, "reboot-required", "done after a reboot", ok=True, reboot=True),
    Code(1641, "reboot-started", "done, and the installer has begun a reboot", ok=True, reboot=True),
    Code(0x240006, "already-installed", "the update is installed already", ok=True),
    Code(0x240005, "update-reboot-required", "done after a reboot", ok=True, reboot=True),
    Code(1618, "installer-busy", "another installation is in progress", "package-manager", transient=True,
         remedy="wait"),
    Code(1601, "installer-service-down", "the Windows Installer service cannot be reached", "package-manager",
         transient=True, remedy="wait"),
    Code(1602, "cancelled", "somebody cancelled the installation"),
    Code(1603, "msi-fatal", "the package's installation failed; its log tells where"),
    Code(1605, "not-installed", "the product to change is not installed"),
    Code(1612, "source-missing", "the source of the installed product is gone", "repository"),
    Code(1614, "uninstalled", "the product to change is uninstalled"),
    Code(1619, "package-not-opened", "the package could not be opened", "disk", transient=True, remedy="refetch"),
    Code(1620, "package-invalid", "the file is no Windows Installer package", "repository"),
    Code(1625, "forbidden-by-policy", "a system policy forbids this installation", "policy"),
    Code(1633, "wrong-platform", "the package is for another processor type"),
    Code(1638, "other-version-installed", "another version of the product is installed"),
    Code(112, "no-space", "no space left on the disk", "disk"),
    Code(5, "access-denied", "access denied", "access"),
    Code(740, "elevation-required", "the installer wants rights this account has not", "access"),
)
"""msiexec, wusa, dism and setup programs; wusa's and dism's HRESULTs are in UPDATE_AGENT."""

UPDATE_AGENT: tuple[Code, ...] = (
    Code(0x8007045B, "shutting-down", "the system is shutting down", "reboot", transient=True, remedy="wait"),
    Code(0x80070005, "update-access-denied", "Windows Update refused access (remote callers are: SYSTEM is not)",
         "access"),
    Code(0x80070070, "no-space", "no space left for the update", "disk"),
    Code(0x80070020, "file-in-use", "another process has a file of the update open", "patch", transient=True,
         remedy="wait"),
    Code(0x80070BC2, "reboot-pending", "an earlier installation waits for a reboot", "reboot"),
    Code(0x80070BC9, "reboot-pending", "an earlier installation waits for a reboot", "reboot"),
    Code(0x80070643, "msi-fatal", "the update's Windows Installer package failed"),
    Code(0x800F081F, "component-source-missing", "files of the component store are missing (repair it with dism)",
         "package-manager"),
    Code(0x800F0823, "servicing-stack-too-old", "the update needs a newer servicing stack: install that update first",
         "package-manager"),
    Code(0x800F0825, "cannot-uninstall", "Windows does not uninstall this update (it is permanent)"),
    Code(0x800F0831, "earlier-update-missing", "the component store misses an earlier update", "package-manager"),
    Code(0x800F0922, "component-install-failed", "the servicing stack could not complete the update (often the system "
         "reserved partition is full)", "disk"),
    Code(0x800F0986, "update-file-damaged", "a file of the update could not be applied", "repository", transient=True,
         remedy="refetch"),
    Code(0x800F0805, "package-invalid", "this is not a package for dism", "repository"),
    Code(0x80073712, "component-store-corrupt", "the component store is damaged", "package-manager"),
    Code(0x80240016, "install-not-allowed", "another installation runs, or a mandatory reboot is pending",
         "package-manager", transient=True, remedy="wait"),
    Code(0x80240017, "not-applicable", "the update does not apply to this system"),
    Code(0x8024000B, "search-cancelled", "the search was cancelled", "repository", transient=True, remedy="wait"),
    Code(0x8024001E, "agent-stopping", "the Windows Update service was stopped meanwhile", "package-manager",
         transient=True, remedy="wait"),
    Code(0x80240022, "all-updates-failed", "every update of the set failed"),
    Code(0x80240024, "no-updates", "none of the updates was found"),
    Code(0x80240044, "per-user-not-allowed", "only for administrators", "access"),
    Code(0x80242014, "post-reboot-in-progress", "the work after the last reboot is still in progress", "reboot",
         transient=True, remedy="wait"),
    Code(0x80244010, "server-round-trips", "the update server needed too many rounds; a second search goes on",
         "repository", transient=True, remedy="wait"),
    Code(0x80244018, "update-server-forbidden", "the update server or a proxy forbids it (HTTP 403)", "repository"),
    Code(0x80244019, "update-server-not-found", "the update server has no such file (HTTP 404)", "repository"),
    Code(0x8024401C, "update-server-timeout", "the update server timed out (HTTP 408)", "repository", transient=True,
         remedy="wait"),
    Code(0x80244022, "update-server-busy", "the update server is overloaded (HTTP 503)", "repository", transient=True,
         remedy="wait"),
    Code(0x8024402C, "update-server-unresolved", "the update server's or the proxy's name does not resolve",
         "repository", transient=True, remedy="wait"),
    Code(0x80240438, "update-server-unreachable", "no route to the update server", "repository", transient=True,
         remedy="wait"),
    Code(0x80072EE2, "update-server-timeout", "the update server does not answer", "repository", transient=True,
         remedy="wait"),
    Code(0x80072EFD, "update-server-unreachable", "no connection to the update server", "repository", transient=True,
         remedy="wait"),
    Code(0x80072F8F, "update-server-certificate", "the update server's certificate is not accepted (is the clock "
         "right?)", "repository"),
    Code(0x80246007, "not-downloaded", "the update has not been downloaded", "repository", transient=True,
         remedy="wait"),
    Code(0x80246008, "bits-unavailable", "the transfer service (BITS) does not start", "package-manager"),
    Code(0x80248007, "agent-store-corrupt", "the Windows Update data store is damaged", "package-manager"),
    Code(0x80248014, "service-unknown", "the update source is not registered on this host", "repository"),
    Code(0x80070422, "service-disabled", "the Windows Update service is disabled", "package-manager"),
    Code(0x80096004, "signature-invalid", "the update's signature cannot be verified", "repository"),
    Code(0x800B0109, "signature-untrusted", "the update's publisher is not trusted on this host", "repository"),
)

RESULTS = {0: "not started", 1: "in progress", 2: "succeeded", 3: "succeeded with errors", 4: "failed", 5: "aborted"}
"""OperationResultCode of the Windows Update Agent API."""

_KNOWN = {code.number: code for code in (*UPDATE_AGENT, *INSTALLER)}


def normalise(text: str) -> int | None:
    """Read an exit code or HRESULT (`-2145124329`, `2149842967`, `0x80240017`) as 32 unsigned bits; None = none."""
    try:
        return int(text.strip(), 16 if text.strip().lower().startswith("0x") else 10) & 0xFFFFFFFF
    except ValueError:
        return None


def explain(number: int) -> Code | None:
    """Return what a normalised code means. HRESULTs that wrap a Win32 code (0x8007nnnn) are looked up as that too."""
    found = _KNOWN.get(number)
    if found is None and number >> 16 == 0x8007:
        return _KNOWN.get(number & 0xFFFF)
    return found


def spellings(number: int) -> tuple[str, ...]:
    """Return how programs print a code: unsigned, signed, and as HRESULT."""
    signed = number - (1 << 32) if number >= 1 << 31 else number
    return tuple(dict.fromkeys((str(number), str(signed), f"0x{number:08X}")))
