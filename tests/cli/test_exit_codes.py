"""The documented exit codes: each kind of error ends the command with its own, and several at once with the gravest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patchctl.cli.failure import report_failure
from patchctl.cli.rollout import _severity
from patchctl.model import errors
from patchctl.model.errors import DocumentsError, PatchctlError

PAGE = (Path(__file__).parents[2] / "docs/reference/exit-codes.md").read_text()
CODES = {
    "UsageError": 2, "DocumentsError": 2, "PlanStaleError": 10, "LockedError": 11, "ConfirmationError": 7,
    "CredentialsError": 12, "TrustError": 13, "StoreError": 1, "StoreChoiceError": 2, "HostError": 4, "ConnectError": 4,
    "HostKeyError": 4, "LoginError": 4, "PrivilegeError": 4, "HostTimeoutError": 4, "PatchctlError": 1,
}


def kinds() -> dict[str, type[PatchctlError]]:
    return {name: kind for name, kind in vars(errors).items()
            if isinstance(kind, type) and issubclass(kind, PatchctlError)}


def test_the_table_names_every_kind_of_error() -> None:
    assert set(kinds()) == set(CODES)


@pytest.mark.parametrize("name", CODES)
def test_each_kind_of_error_ends_with_its_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    kind = kinds()[name]
    error = DocumentsError(()) if kind is DocumentsError else kind("some-code", "what went wrong", "what to do")
    assert report_failure(error) == CODES[name]
    if kind is not DocumentsError:
        said = capsys.readouterr().err
        assert "error[some-code]: what went wrong" in said
        assert "hint: what to do" in said


def test_the_gravest_of_several_codes_is_the_documented_one() -> None:
    told = re.search(r"the first of this list is told: ([\d/, ]+)\.", PAGE)
    assert told is not None
    listed = [int(word) for word in re.findall(r"\d+", told[1])]
    ours = sorted((code for code in listed), key=_severity, reverse=True)
    assert [code for code in ours if code not in (130, 143)] == [code for code in listed if code not in (130, 143)]
    assert set(ours[:2]) == {130, 143}
