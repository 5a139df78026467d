"""The directive `api`: entries of the Python reference from docstrings.

    ```{api} ssl_zoo
    train
    Result
    *
    ```

lists names of a module; `*` is all others in its `__all__`. Without a list the module's own docstring comes first, and
then its names; those that `ssl_zoo` has too are left to the page where they are documented as such.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

__all__ = ["setup"]

logger = logging.getLogger(__name__)
PUBLIC = "ssl_zoo"


class Api(SphinxDirective):
    """Entries of names of a module."""

    required_arguments = 1
    has_content: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """Returns what autodoc makes of them."""
        name = self.arguments[0]
        module = importlib.import_module(name)
        listed = [line.strip() for line in self.content if line.strip()]
        every = list[str](module.__all__)
        if unknown := [entry for entry in listed if entry != "*" and entry not in every]:
            raise self.error(f"{name} has no public name {unknown[0]}")
        lines = []
        if not listed:
            lines += [f".. automodule:: {name}", "   :no-members:", ""]
            shown = _names_of(PUBLIC)
            listed = [entry for entry in every if getattr(module, entry) not in shown]
        names = self._on_this_page(name)
        if "*" in listed:
            listed.remove("*")
            listed += [entry for entry in every if entry not in names | {*listed}]
        names.update(listed)
        for entry in listed:
            lines += _entry(name, entry, getattr(module, entry))
        text = "\n".join(["```{eval-rst}", *lines, "```"])
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def _on_this_page(self, module: str) -> set[str]:
        """Returns the names of a module that this page has so far."""
        pages: Any = self.env.temp_data.setdefault("ssl_zoo_api", {})
        names: set[str] = pages.setdefault(module, set())
        return names


def _names_of(module: str) -> list[Any]:
    home = importlib.import_module(module)
    return [getattr(home, name) for name in home.__all__]


def _entry(module: str, name: str, target: Any) -> list[str]:
    """Returns autodoc's directive for an object."""
    if inspect.isclass(target):
        kind = "exception" if issubclass(target, BaseException) else "class"
        members = "no-members" if _is_section(target) else "members"
        return [f".. auto{kind}:: {module}.{name}", f"   :{members}:", ""]
    kind = "function" if callable(target) else "data"
    return [f".. auto{kind}:: {module}.{name}", ""]


def _is_section(target: Any) -> bool:
    """Whether it is a block of keys, which the page of the keys explains one by one."""
    return hasattr(target, "__pydantic_fields__")


def _signature(
    app: Sphinx, what: str, name: str, target: Any, options: Any, signature: str, returns: str
) -> tuple[str, str | None] | None:
    """Leaves out the signature of a block of keys, all of its keys with their ranges, and writes defaults as Python."""
    if what == "class" and _is_section(target):
        return "", None
    return (signature.replace("<factory>", "..."), returns) if "<factory>" in (signature or "") else None


def _check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warns of public names without an entry."""
    objects = env.domains.python_domain.objects
    for module in app.config.api_modules:
        for name in importlib.import_module(module).__all__:
            if f"{module}.{name}" not in objects:
                logger.warning("%s.%s is public and has no entry in the reference", module, name, type="api")


def setup(app: Sphinx) -> None:
    """Adds the directive, and the check when all pages have been read."""
    app.add_config_value("api_modules", [], "env", list)
    app.add_directive("api", Api)
    app.connect("autodoc-process-signature", _signature)
    app.connect("env-check-consistency", _check)
