"""The moment of a fault, drawn from the operations of the command that suffers it."""

from __future__ import annotations

from .case import Case
from .injection import Injection
from .subjects import SUBJECTS

__all__ = ["HANG", "expect_done", "fault_at", "moment"]

HANG = 30.0  # seconds


def moment(case: Case) -> int:
    return case.draw.randrange(len(case.reference.operations))


def fault_at(
    case: Case, kind: str, at: int, number: int = 0, amount: float = 0.0, path: str = ""
) -> Injection:
    """Describes a fault in words, and returns it: of a suite as often in its worker as in the process that waits."""
    worker = case.subject.verb == "bench" and case.draw.random() < 0.5
    if worker:  # whose operations are those of a training, less some
        train = case.workshop.reference(SUBJECTS["train"])
        at = case.draw.randrange(len(train.operations) - 5)
        case.outcome.fault += f", in the worker, after {at} operations"
    else:
        case.outcome.fault += f" at: {case.reference.operations[at]}"
    return Injection(
        kind, str(case.folder), at, number, amount, module="ssl_zoo.suites.worker" * worker, path=path
    )


def expect_done(case: Case, fault: Injection) -> None:
    ended = case.run(fault)
    if ended.status:
        case.outcome.lost.append(f"exit status {ended.status}")
