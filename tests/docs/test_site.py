"""The documentation site fails where something leads nowhere; its whole build is a step of CI of its own."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("myst_parser")

# MyST's and Sphinx's own; what this project takes of both is not deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.*Check CHANGES for Sphinx API modifications")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONF = """
extensions = ["myst_parser", "sphinx.ext.autodoc", "ssl_zoo_docs"]
nitpicky = True
repository = "https://example.org/project"
myst_heading_anchors = 4
api_modules = ["ssl_zoo.testing"]
html_theme = "basic"
"""
SOUND = """# A page
## A heading
[here](#a-heading), [there](other.md#another-heading), [source](../ssl_zoo/code.py), [folder](../ssl_zoo),
[readme](../README.md#use), <a href="other.html">raw</a>, {py:class}`ssl_zoo.testing.ContractError`,
{py:func}`ssl_zoo.testing.check_method`, {key}`optimizer.lr`, {key}`bench seeds`
"""
OTHER = "# Other\n## Another heading\n[a page](index.md)\n"
API = "# API\n```{{api}} ssl_zoo\nUserError\n```\n```{{api}} ssl_zoo.testing\n{names}\n```\n"
TOCTREE = "```{{toctree}}\n{pages}\n```\n"
# What is planted, with what the build says.
FAULTS = {
    "[x](missing.md)": "'missing.md'",
    "[x](other.md#nowhere)": "local id not found in doc 'other': 'nowhere'",
    "[x](#nowhere)": "'nowhere'",
    "![x](missing.png)": "image file not readable: missing.png",
    "[x](../ssl_zoo/missing.py)": "'../ssl_zoo/missing.py'",
    "[x](../README.md#nowhere)": "README.md has no heading 'nowhere'",
    "[x](../README.md#a-comment)": "README.md has no heading 'a-comment'",
    "{py:func}`ssl_zoo.nothing`": "py:func reference target not found: ssl_zoo.nothing",
    "{py:class}`ssl_zoo.files.locks.Nothing`": "py:class reference target not found",
    "{key}`optimizer.speed`": "optimizer.speed",
    '<a href="other.html#nowhere">x</a>': "'other.html#nowhere' has no such anchor",
    '<img src="missing.gif">': "'missing.gif' is no file",
    '<a href="../README.md">x</a>': "'../README.md' is no file of the site",
    '<a href="/">x</a>': "'/' is no file of the site",
    '<a href="_static">x</a>': "'_static' is no file of the site",
}


def build(docs: Path, **settings: object) -> tuple[int, str]:
    """Builds pages as strictly as the project's own; returns the status and the warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    warnings = io.StringIO()
    with docutils_namespace():
        app = Sphinx(
            docs,
            docs,
            docs.parent / "built",
            docs.parent / "doctrees",
            "html",
            confoverrides=settings,
            status=None,
            warning=warnings,
            warningiserror=True,
        )
        app.build()
    return app.statuscode, re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue())


def pages(tmp_path: Path, names: str = "*", more: str = "", listed: str = "other\napi\nkeys") -> Path:
    docs = tmp_path / "docs"
    (tmp_path / "ssl_zoo" / "config" / "schema").mkdir(parents=True)  # to which the page of the keys links
    docs.mkdir()
    for path, text in {
        tmp_path / "ssl_zoo" / "code.py": "",
        tmp_path / "README.md": "# Project\n```sh\n# A comment\n```\n## Use\n",
        docs / "conf.py": CONF,
        docs / "index.md": SOUND + more + TOCTREE.format(pages=listed),
        docs / "other.md": OTHER,
        docs / "keys.md": "# Keys\n",
        docs / "api.md": API.format(names=names),
    }.items():
        path.write_text(text, encoding="utf-8")
    return docs


@pytest.fixture(autouse=True)
def _the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])


def test_what_leads_somewhere_is_built(tmp_path: Path) -> None:
    status, warnings = build(pages(tmp_path), html_baseurl="https://example.org/site/")
    assert (status, warnings) == (0, "")
    page = (tmp_path / "built" / "index.html").read_text(encoding="utf-8")
    assert (
        '<meta name="description" content="here, there, source, folder, readme,' in page
    )  # its first paragraph
    assert '<meta property="og:title" content="A page" />' in page
    assert (
        "<loc>https://example.org/site/other.html</loc>" in (tmp_path / "built" / "sitemap.xml").read_text()
    )
    assert 'href="https://example.org/project/blob/main/ssl_zoo/code.py"' in page
    assert 'href="https://example.org/project/tree/main/ssl_zoo"' in page
    assert 'href="https://example.org/project/blob/main/README.md#use"' in page
    assert 'href="keys.html#key-optimizer-lr"' in page
    assert 'href="api.html#ssl_zoo.testing.ContractError"' in page


def test_what_leads_nowhere_fails(tmp_path: Path) -> None:
    status, warnings = build(
        pages(tmp_path, names="ContractError", more="\n\n".join(FAULTS), listed="api\nkeys")
    )
    assert status == 1
    lines = warnings.splitlines()
    for fault, message in FAULTS.items():
        assert [line for line in lines if message in line], f"{fault} passes:\n{warnings}"
    assert [line for line in lines if "ssl_zoo.testing.check_method is public and has no entry" in line]
    assert [line for line in lines if "other.md" in line and "document isn't included in any toctree" in line]


def test_docstrings_know_code_lists_sections_and_blocks() -> None:
    from ssl_zoo_docs.docstrings import to_restructured

    text = """The length |p| is 2 * q, `a|b*` stays, see [the paper](https://example.org/a_).

    y = |x| * 2

name     columns that
         hang

- [0] an entry, which goes
  on

Args:
    p: (N, D), of length |p|.

        more of it
"""
    assert "\n".join(to_restructured(text.splitlines())) == (
        r"""The length \|p\| is 2 \* q, ``a|b*`` stays, see `the paper <https://example.org/a_>`__.

::

    y = |x| * 2

::

    name     columns that
             hang

- [0] an entry, which goes
  on

Args:
    p: (N, D), of length \|p\|.

        more of it"""
    )


def test_what_is_returned_may_have_a_colon() -> None:
    from ssl_zoo_docs.docstrings import returns_as_field

    text = """Measures.

Args:
    z: (N, D).

Returns:
    The diagnosis: a word,
    and more.

    Still it.

Raises:
    ValueError: no z."""
    assert (
        "\n".join(returns_as_field(text.splitlines()))
        == """Measures.

Args:
    z: (N, D).

:returns: The diagnosis: a word,
    and more.

    Still it.

Raises:
    ValueError: no z."""
    )


def test_every_report_of_a_suite_is_in_the_gallery_with_its_claims() -> None:
    from ssl_zoo_docs.reports import reports

    found = reports(DOCS)
    assert {report.page for report in found} == {
        path.relative_to(DOCS).with_suffix("").as_posix()
        for path in DOCS.glob("results/suites/*/*/report.md")
    }
    for report in found:
        assert (DOCS / report.page).with_name(report.picture).is_file()
        asked = sum(sign != "–" for sign in report.signs)
        holding = report.signs.count("✓")
        assert re.match(rf"{holding} of {asked} claims? hold", report.outcome), report.page


def test_each_key_has_an_entry_of_its_own() -> None:
    from ssl_zoo_docs.keys import page

    from ssl_zoo.cli.keys import TITLES, declared_keys

    names = re.findall(r"^````\{key\} (.+)$", page(), re.MULTILINE)
    keys = [key for verb in TITLES for key in declared_keys(verb) if not key.is_block]
    assert len(names) == len(set(names)) == len(keys)
    assert {"optimizer.lr", "eval protocol", "bench seeds"} <= {*names}


def test_the_settings_name_the_projects_addresses() -> None:
    settings = (DOCS / "conf.py").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for key, setting in {"Repository": "repository", "Documentation": "html_baseurl"}.items():
        [address] = re.findall(rf'^{key} = "(.+)"$', project, re.MULTILINE)
        assert f'{setting} = "{address}"' in settings
