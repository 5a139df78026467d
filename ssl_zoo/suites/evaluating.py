"""What is evaluated after each training: words of `ssl-zoo eval`, one list for each protocol."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.config import read_word
from ssl_zoo.errors import UserError
from ssl_zoo.schema import RunConfig

__all__ = ["evaluations"]


def evaluations(
    names: Sequence[str], words: Sequence[str], threads: int | None, config: RunConfig
) -> list[list[str]]:
    """Gives each protocol the words that it reads, and checks them, since a training comes before they are used.

    Args:
        names: of protocols.
        words: the user's, for all of them; `knn.k=[5]` is read by those of kind knn.
        threads: CPU threads; None: left open.
        config: of one of the runs.

    Raises:
        UserError: there is no such protocol, or it lists several; a word is wrong, or none of them reads it.
    """
    if not names:
        if words:
            raise UserError(
                f"eval.* is read by protocols; received 'eval.{words[0]}' and none of them; say evaluate=NAME"
            )
        return []
    from ssl_zoo.evaluation.compose import compose_evaluations
    from ssl_zoo.evaluation.protocol import expand
    from ssl_zoo.evaluation.schema import SECTIONS

    kinds = {}
    for name in names:
        found = expand(name)
        if len(found) > 1:
            raise UserError(
                f"evaluate takes protocols that give one figure; received '{name}', which lists "
                f"{', '.join(one.name for one in found)}; name those"
            )
        kinds[name] = found[0].kind
    sections = {word: read_word(word, commas=True)[0].partition(".")[0] for word in words}
    for word, section in sections.items():
        if section in SECTIONS and section not in kinds.values():
            raise UserError(
                f"{section}.* is read by protocols of kind {section}; received 'eval.{word}' with "
                f"evaluate={','.join(names)}; leave it out, or name such a protocol"
            )
    own = [] if threads is None else [f"threads={threads}"]
    listed = []
    for name, kind in kinds.items():
        read = [word for word in words if sections[word] == kind or sections[word] not in SECTIONS]
        listed.append([f"protocol={name}", *own, *read])
        data = (
            []
            if kind == "detection" or any(read_word(word, commas=True)[0] == "data" for word in words)
            else [f"data={config.data.name}"]
        )
        compose_evaluations([*listed[-1], *data, f"backbone.name={config.backbone.name}"])
    return listed
