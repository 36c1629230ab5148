"""What `patchctl baseline` tells about the baselines of a project."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.assess.test_assess import BAD, GOOD

SHIPPED = Path(__file__).parents[2] / "baselines"
def test_list_show_and_explain(project):
    project.baseline("small", GOOD, BAD)
    shutil.copy(SHIPPED / "ssh-server.yaml", project.folder / "baselines")
    listed = project.json("baseline", "list")["baselines"]
    rules = {b["baseline"]: b["rules"] for b in listed}
    assert list(rules)[:2] == ["small", "ssh-server"], "the project's own come first"
    assert (rules["small"], rules["ssh-server"]) == (2, 3)
    assert set(rules) == {"small", *(path.stem for path in SHIPPED.glob("*.yaml"))}
    files = {b["baseline"]: Path(b["file"]) for b in listed}
    assert files["ssh-server"].parent == project.folder / "baselines", "one's own takes the place of what is shipped"
    assert files["debian-12"].parent == SHIPPED
    shown = project.json("baseline", "show", "small")
    assert [r["id"] for r in shown["rules"]] == ["good", "bad"]
    assert project.run("baseline", "explain", "bad", "--baseline", "small") == 0
    assert "runs echo no" in project.said
    assert project.run("baseline", "explain", "bda", "--baseline", "small") == 2
    assert "did you mean bad?" in project.said
    assert project.run("baseline", "explain", "bad", "--baseline", "small", "--host", "here") == 2
    project.run("assess", "--baseline", "small")
    assert project.run("baseline", "explain", "bad", "--baseline", "small", "--host", "here") == 0
    assert project.run("baseline", "profiles", "ssh-server") == 0


def test_its_own_cases_are_run_and_a_wrong_one_is_told(project):
    for path in SHIPPED.rglob("*.yaml"):
        target = project.folder / "baselines" / path.relative_to(SHIPPED)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    found = project.json("baseline", "test", "ssh-server")
    assert project.code == 0
    assert found["summary"]["wrong"] == 0
    assert found["cases"]
    cases = project.folder / "baselines" / "ssh-server.yaml"
    cases.write_text(cases.read_text().replace("expect: PASS", "expect: FAIL", 1))
    assert project.run("baseline", "test", "ssh-server") == 3
    assert "1 come out otherwise" in project.said
    project.baseline("small", GOOD)
    assert project.run("baseline", "test", "small") == 2
