"""Finds the packages of the distribution: ssl_zoo/, and the folders beside it that `package-dir` maps into it."""

import re
import shutil
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def index_readme() -> str:
    """Returns README.md as a package index needs it, which shows that file alone: with whole addresses, on main."""
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    repository = re.findall(r'^Repository = "(.+)"$', declared, re.M)[0]
    pictures = repository.replace("//github.com", "//raw.githubusercontent.com") + "/main/"
    pages = repository + "/blob/main/"
    text = re.sub(r"<!--.*?-->\n?", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r'(!\[[^]]*\]\(|<img [^>]*src="|srcset=")(?!\w+:)', rf"\1{pictures}", text)
    text = re.sub(r'(\]\(|href=")(?=#)', r"\1README.md", text)
    return re.sub(r'(\]\(|href=")(?!\w+:)', rf"\1{pages}", text)


class BuildAnew(build_py):
    """Copies the modules that the checkout has. An earlier build may have left others, which would be installed too."""

    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


engine = find_namespace_packages(include=["ssl_zoo", "ssl_zoo.*"])
mapped = find_namespace_packages(include=["methods*", "configs*", "benchmarks*"])
setup(
    cmdclass={"build_py": BuildAnew},
    packages=[*engine, *(f"ssl_zoo.{name}" for name in mapped)],
    long_description=index_readme(),
    long_description_content_type="text/markdown",
)
