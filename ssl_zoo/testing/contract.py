"""What a clause of the contract raises, and what is raised of a method that breaks some."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ssl_zoo.testing.setting import Setting

__all__ = ["Broken", "Clause", "ContractError", "NotApplicable"]

Clause: TypeAlias = Callable[[Setting], None]


class Broken(Exception):
    """A clause is broken.

    Args:
        expected: what the clause demands.
        found: what the method does.
        fix: how that is usually mended.
    """

    def __init__(self, expected: str, found: str, fix: str) -> None:
        super().__init__(f"expected {expected}; found {found}; {fix}")


class NotApplicable(Exception):
    """A clause does not concern the method; the message says why."""


class ContractError(AssertionError):
    """A method breaks clauses of the contract.

    Attributes:
        broken: name of each broken clause, with the sentence on it.
    """

    def __init__(self, method: str, broken: dict[str, str]) -> None:
        self.broken = broken
        count = f"{len(broken)} clause{'s' * (len(broken) > 1)}"
        lines = [f"- {name}: {sentence}" for name, sentence in broken.items()]
        super().__init__("\n".join([f"method '{method}' breaks {count} of the contract", *lines]))
