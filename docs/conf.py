"""Sphinx's settings for the documentation site.

sphinx-build -W -n docs build/site     writes it, and fails at any broken link, anchor, picture or Python reference
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ssl_zoo_docs.repository import source_finder

project = "ssl-zoo"
author = "the contributors to ssl-zoo"
copyright = author
version = release = installed_version("ssl-zoo")
# links to files outside docs/ lead there, on the branch main
repository = "https://github.com/ssl-zoo/ssl-zoo"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "ssl_zoo_docs",
]
linkcode_resolve = source_finder(repository, Path(__file__).parent.parent)
nitpicky = True
api_modules = ["ssl_zoo", "ssl_zoo.testing"]  # every public name of these has its entry
exclude_patterns = ["ssl_zoo_docs", "_static", "**.ipynb_checkpoints"]
default_role = "code"
language = "en"

myst_heading_anchors = 4  # GitHub's slugs, so that a link works in the repository and in the site

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_baseurl = "https://ssl-zoo.github.io/ssl-zoo/"
html_title = "ssl-zoo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_show_search_summary = False  # it reads each page anew, which a browser refuses to pages from a disk
html_search_scorer = str(Path(__file__).parent / "ssl_zoo_docs" / "search.js")
html_theme_options = {
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
    "navigation_with_keys": True,
}
