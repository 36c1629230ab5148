"""docs/reference/checks.md is what the program's check types say."""

from __future__ import annotations

from tests.docs import checks


def test_the_page_of_check_types_is_current() -> None:
    assert checks.PAGE.read_text("utf-8") == checks.render(), "run: python3 -m tests.docs.checks"
