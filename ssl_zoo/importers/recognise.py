"""Which format a checkpoint has, and which of its keys are the encoder's: every key is accounted for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from ssl_zoo.errors import UserError
from ssl_zoo.importers.formats import FORMATS, CheckpointFormat, Layout

__all__ = ["Accounted", "account", "recognise"]

SHOWN = 12  # keys in a message


class Accounted(NamedTuple):
    """The keys of a checkpoint: those of the encoder without its prefix, the others with what they are."""

    encoder: dict[str, Tensor]
    left_out: dict[str, str]


def recognise(keys: Iterable[str], name: str, file: str) -> tuple[CheckpointFormat, Layout]:
    """Chooses the format.

    Args:
        keys: of the checkpoint.
        name: what the user says; auto: by the keys.
        file: for messages.

    Raises:
        UserError: no format, or more than one, has such keys; the one that is named has not.
    """
    keys = list(keys)
    fitting = {entry.name: layout for entry in FORMATS.values() if (layout := _layout(entry, keys, name))}
    if name != "auto":
        entry = FORMATS[name]
        if name in fitting:
            return entry, fitting[name]
        if entry.any_architecture:
            return entry, entry.layouts[0]
        found = (
            f"its keys are those of format={' or '.join(fitting)}" if fitting else "they fit no other format"
        )
        raise UserError(
            f"format={name} ({entry.title}) must have keys like {_described(entry)}; '{file}' holds {_groups(keys)}; "
            f"{found}; leave format out, or name another of {', '.join(FORMATS)}"
        )
    if len(fitting) == 1:
        (only,) = fitting
        return FORMATS[only], fitting[only]
    if fitting:
        raise UserError(
            f"format=auto must find one format; the keys of '{file}' ({_groups(keys)}) are those of several, which "
            f"prepare images differently: {', '.join(f'{n} ({FORMATS[n].title})' for n in fitting)}; set format= to "
            "whose checkpoint it is"
        )
    raise UserError(
        f"format=auto must know the keys; '{file}' holds {_groups(keys)}; there are the formats {', '.join(FORMATS)}; "
        "for a timm model of any name set format=timm backbone.name=NAME"
    )


def account(weights: Mapping[str, Tensor], entry: CheckpointFormat, layout: Layout, file: str) -> Accounted:
    """Divides the keys into the encoder's and those that are knowingly left out.

    Raises:
        UserError: a key is neither; the message lists them.
    """
    encoder, left_out, unknown = dict[str, Tensor](), dict[str, str](), list[str]()
    for key, weight in weights.items():
        prefix = layout.encoder if key.startswith(layout.encoder) else None
        meaning = _head(key, entry, prefix or "")
        if meaning is not None:
            left_out[key] = meaning
        elif prefix is not None:
            encoder[key.removeprefix(prefix)] = weight
        else:
            unknown.append(key)
    if unknown:
        some = ", ".join(unknown[:SHOWN]) + (f" and {len(unknown) - SHOWN} more" * (len(unknown) > SHOWN))
        raise UserError(
            f"every key must be the encoder's ({layout.encoder}*) or a known head of format={entry.name}; '{file}' has "
            f"{len(unknown)} that are neither: {some}; name another format, or save without them"
        )
    return Accounted(encoder, left_out)


def _head(key: str, entry: CheckpointFormat, prefix: str) -> str | None:
    """Returns what a key is that is left out: of the encoder's own, those beyond its prefix (`encoder.fc.`)."""
    for pattern, meaning in entry.heads.items():
        found = re.match(pattern, key)
        if found is not None and found.end() > len(prefix):
            return meaning
    return None


def _layout(entry: CheckpointFormat, keys: list[str], name: str) -> Layout | None:
    layouts = (layout for layout in entry.layouts if name == entry.name or not layout.shared)
    return next((layout for layout in layouts if _fits(layout, keys)), None)


def _fits(layout: Layout, keys: list[str]) -> bool:
    def any_matches(pattern: str) -> bool:
        return any(re.match(pattern, key) for key in keys)

    return all(map(any_matches, layout.marks)) and not any(map(any_matches, layout.lacks))


def _groups(keys: list[str]) -> str:
    """Lists the first parts of keys with their number: `encoder.* (318), predictor.* (7)`."""
    counts = Counter(key.partition(".")[0] + (".*" if "." in key else "") for key in keys)
    groups = [f"{group} ({count})" for group, count in counts.items()]
    return ", ".join(groups[:SHOWN]) + (f" and {len(groups) - SHOWN} more" * (len(groups) > SHOWN))


def _described(entry: CheckpointFormat) -> str:
    """Describes the keys of a format by its layouts."""
    described = [
        ", ".join([f"{layout.encoder}*" if layout.encoder else "", *layout.marks]).strip(", ")
        for layout in entry.layouts
    ]
    return " or ".join(described).replace("\\", "").replace("$", "")
