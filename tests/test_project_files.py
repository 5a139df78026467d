"""The files around the code agree with it and with one another: workflows, constraints, citation, changelog."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from ssl_zoo import from_lightly

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
PAGES = [
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def requirements(extras: bool = True) -> list[Requirement]:
    """What ssl-zoo needs, with its extras but for those of developers."""
    optional = {
        name: some for name, some in PROJECT["optional-dependencies"].items() if name not in {"dev", "docs"}
    }
    lines = [*PROJECT["dependencies"], *(line for some in optional.values() for line in some if extras)]
    return [Requirement(line) for line in lines]


def pinned(name: str) -> dict[str, Version]:
    lines = [line for line in read(f"constraints/{name}.txt").splitlines() if not line.startswith("#")]
    return {plain(package): Version(version) for package, version in (line.split("==") for line in lines)}


def plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_exists_and_pin_what_they_use(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}  # a job that needs more says so itself
    actions = re.findall(r"uses: (.+)", text)
    assert len(actions) == sum("uses" in step for step in steps(workflow)) > 0
    for action in actions:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    for command in [step["run"] for step in steps(workflow) if "run" in step]:
        for name in re.findall(
            r"(?:\.ci|constraints)/[\w.]+", command.replace("${{ matrix.constraints }}", "oldest")
        ):
            assert (ROOT / name).is_file(), command


def test_every_action_has_one_version() -> None:
    used = {
        action
        for workflow in WORKFLOWS
        for action in re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8"))
    }
    assert len({action.partition("@")[0] for action in used}) == len(used)


def test_every_python_and_system_that_is_promised_is_tested() -> None:
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]
    matrix = jobs["quick"]["strategy"]["matrix"]
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["python"] == classified
    assert PROJECT["requires-python"] == f">={classified[0]}"
    systems = {"Linux": "ubuntu-latest", "MacOS": "macos-latest", "Windows": "windows-latest"}
    named = re.findall(r"Operating System :: .*?(\w+)$", "\n".join(PROJECT["classifiers"]), re.M)
    assert matrix["os"] == [systems[name] for name in named]
    files = {row["constraints"]: row["python"] for row in jobs["pinned"]["strategy"]["matrix"]["include"]}
    assert files.keys() == {path.stem for path in (ROOT / "constraints").iterdir()}
    assert files["oldest"] == classified[0]
    assert f"Python {files['tested']}" in read("constraints/tested.txt")


def test_all_checks_are_parts_that_workflows_can_call() -> None:
    script = read(".ci/run")
    parts = re.findall(r"^for part in (.+); do$", script, re.M)[0].split()
    assert 'bash ".ci/$part"' in script
    assert {"numeric", "lint", "wheel"} <= set(parts)
    assert all((ROOT / ".ci" / part).is_file() for part in parts)


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    bounds = {
        plain(each.name): Version(next(bound.version for bound in each.specifier if bound.operator == ">="))
        for each in requirements()
    }
    oldest = pinned("oldest")
    assert {name: oldest.get(name) for name in bounds} == bounds


def test_the_tested_versions_are_allowed() -> None:
    tested = pinned("tested")
    wanted = [each for each in requirements() if each.name != "trackio"]  # wants an older Pillow
    developers = [
        Requirement(line) for group in ("dev", "docs") for line in PROJECT["optional-dependencies"][group]
    ]
    wanted += [each for each in developers if each.name != PROJECT["name"]]
    assert {each.name for each in wanted if plain(each.name) not in tested} == set()
    for each in wanted:
        assert each.specifier.contains(tested[plain(each.name)]), each


def test_lightly_was_checked_in_the_versions_that_are_tested() -> None:
    versions = {str(pinned(name)["lightly"]) for name in ("oldest", "tested")}
    assert versions == set(from_lightly.CHECKED)
    assert Requirement(from_lightly.REQUIREMENT) in requirements(extras=False)


def test_every_paper_of_a_suite_or_method_is_cited() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == PROJECT["license"]
    assert (citation["repository-code"], citation["url"]) == (REPOSITORY, PROJECT["urls"]["Homepage"])
    cited = {reference["url"] for reference in citation["references"]}
    assert len(cited) == len(citation["references"])
    for reference in citation["references"]:
        number = reference["url"].rpartition("/")[2]
        assert reference["identifiers"] == [{"type": "doi", "value": f"10.48550/arXiv.{number}"}]
    suites = (path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks" / "suites").glob("*.yaml"))
    wanted = {found for text in suites for found in re.findall(r"^source: (https://\S+)", text, re.M)}
    methods = (
        path for path in (ROOT / "methods").glob("*.py") if path.stem not in {"joint_embedding", "supervised"}
    )
    for path in methods:
        wanted |= set(
            re.findall(r"- \[0\].*?(https://arxiv\.org/abs/[\d.]+)", path.read_text(encoding="utf-8"))
        )
    assert wanted <= cited


def test_the_changelog_has_a_place_for_what_comes() -> None:
    text = read("CHANGELOG.md")
    assert re.findall(r"^## \[(.+?)\]", text, re.M)[0] == "Unreleased"
    assert "[Unreleased]: " in text


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_what_exists(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        name, _, anchor = link.removeprefix(f"{REPOSITORY}/blob/main/").partition("#")
        if name.startswith("https://"):
            assert name.startswith(REPOSITORY) or "github.com/ssl-zoo" not in name
            continue
        target = (ROOT / page).parent / name if name == link.partition("#")[0] else ROOT / name
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M) if anchor else []
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, link


def test_issue_forms_ask_for_doctor_configuration_and_verdict() -> None:
    forms = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / ".github/ISSUE_TEMPLATE").iterdir()
    }
    assert all(link["url"].startswith(REPOSITORY) for link in forms.pop("config")["contact_links"])
    assert forms.keys() == {"bug", "feature", "result"}
    for name, form in forms.items():
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids)), name
        assert {"name", "description", "labels"} <= form.keys()
    fields = {field["id"] for field in forms["bug"]["body"]}
    assert {"command", "doctor", "config", "verdict"} <= fields


def set_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Returns what setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_what_an_earlier_build_left_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = set_up(monkeypatch)["cmdclass"]["build_py"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.py").touch()
    left = tmp_path / "lib" / "left.py"
    left.parent.mkdir()
    left.touch()
    command = build(setuptools.Distribution({"py_modules": ["kept"]}))
    command.build_lib = str(left.parent)
    command.ensure_finalized()
    command.run()
    assert [path.name for path in left.parent.iterdir()] == ["kept.py"]


def test_the_page_of_the_index_has_whole_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    page = set_up(monkeypatch)["long_description"]
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href|srcset)=\"([^\"]+)", page)
    assert len(links) > 10
    for link in ("".join(each) for each in links):
        assert link.startswith("https://"), link
        raw = REPOSITORY.replace("//github.com", "//raw.githubusercontent.com")
        for start in (f"{REPOSITORY}/blob/main/", f"{raw}/main/"):
            assert (
                not link.startswith(start) or (ROOT / link.removeprefix(start).partition("#")[0]).exists()
            ), link
    assert "<!--" not in page
