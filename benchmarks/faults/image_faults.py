"""Images among 10,000 that are damaged, vanish or may not be read, and loader workers that are killed."""

from __future__ import annotations

import os
from pathlib import Path

from .case import Case
from .injection import DAMAGES, Injection, damage
from .moments import expect_done

__all__ = ["corrupt_before", "corrupt_later", "skipped", "worker_killed"]


def _image(case: Case) -> str:
    return str(case.folder / "images" / f"{case.draw.randrange(10_000)}.png")


def corrupt_before(case: Case) -> None:
    """An image that is damaged before the start: it is named, and the run goes on when it is whole again."""
    path, number = _image(case), case.draw.randrange(len(DAMAGES) - 1)
    case.outcome.fault = f"an image is {DAMAGES[number]} before the start"
    with case.prepared():
        damage(path, number)
        _suffer_image(case, path, None)


def corrupt_later(case: Case) -> None:
    """An image that is damaged, vanishes or may not be read once the training has begun."""
    number, at = case.draw.randrange(len(DAMAGES) + 1), case.draw.randrange(13, 25)
    what = (*DAMAGES, "not to be opened")[number]
    case.outcome.fault = f"an image is {what} at: {case.reference.operations[at]}"
    path = _image(case)
    kind = "deny" if number == len(DAMAGES) else "damage"
    with case.prepared():
        named = os.path.join("images", os.path.basename(path)) if kind == "deny" else path
        _suffer_image(case, path, Injection(kind, str(case.folder / "run"), at, number, path=named))


def _suffer_image(case: Case, path: str, fault: Injection | None) -> None:
    ended = case.run(fault)
    if ended.status:
        case.expect_line(ended, 2)
        if os.path.basename(path) not in ended.line and "put back" not in ended.line:
            case.outcome.unclear.append("the image is not named")
    Path(path).unlink(missing_ok=True)
    os.link(case.workshop.inputs / "images" / os.path.basename(path), path)
    case.finish()


def skipped(case: Case) -> None:
    """The same with data.on_error=skip: the run ends; one that is killed goes on when the image is whole again."""
    number, at = case.draw.randrange(len(DAMAGES)), case.draw.randrange(20, 60)
    killed = case.draw.random() < 0.5
    case.outcome.fault = f"an image is {DAMAGES[number]}, on_error=skip, {'and SIGKILL ' * killed}at: "
    case.outcome.fault += case.reference.operations[at]
    path = _image(case)
    with case.prepared():
        if not killed:
            expect_done(case, Injection("damage", str(case.folder / "run"), at, number, path=path))
            return
        case.start(Injection("kill", str(case.folder / "run"), at)).wait()
        damage(path, number)
        _suffer_image(case, path, None)


def worker_killed(case: Case) -> None:
    """A loader worker that is killed."""
    at = case.draw.randrange(4000)
    case.outcome.fault = f"SIGKILL of a loader worker at its image {at}"
    with case.prepared():
        images = str(case.folder / "images")
        ended = case.run(Injection("kill", images, at, reads=True, children=True))
        if ended.status:
            case.expect_line(ended, 1)
        case.finish()
