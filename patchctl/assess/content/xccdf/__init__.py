"""SCAP on the controller: XCCDF profiles whose OVAL is evaluated from snapshots; hosts see only probes."""

from patchctl.assess.content.xccdf.kind import KIND

__all__ = ["KIND"]
