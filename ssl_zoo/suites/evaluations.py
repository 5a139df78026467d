"""The evaluations after each training: overrides of `ssl-zoo eval`, one list for each protocol."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.config.overrides import read_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.compose import compose_evaluations, read_eval
from ssl_zoo.evaluation.protocol import expand
from ssl_zoo.evaluation.protocols import PROTOCOLS

__all__ = ["evaluation_overrides"]


def evaluation_overrides(
    names: Sequence[str], overrides: Sequence[str], threads: int | None, config: RunConfig
) -> list[list[str]]:
    """Gives each protocol the overrides that it reads, and checks them before a training precedes their use.

    Args:
        names: of protocols.
        overrides: the user's, for all of them; `knn.k=[5]` is read by those of kind knn.
        threads: CPU threads; None: left open.
        config: of one of the runs.

    Raises:
        UserError: there is no such protocol, or it lists several; an override is wrong, or none of them reads it.
    """
    if not names:
        if overrides:
            raise UserError(
                f"eval.* is read by protocols; received 'eval.{overrides[0]}' and none of them; set evaluate=NAME"
            )
        return []
    kinds = {}
    for name in names:
        protocols = expand(name)
        if len(protocols) > 1:
            raise UserError(
                f"evaluate takes protocols that give one figure; received '{name}', which lists "
                f"{', '.join(protocol.name for protocol in protocols)}; name those"
            )
        kinds[name] = protocols[0].kind
    sections = {override: read_override(override, commas=True)[0].partition(".")[0] for override in overrides}
    known = PROTOCOLS.names()
    for override, section in sections.items():
        if section in known and section not in kinds.values():
            raise UserError(
                f"{section}.* is read by protocols of kind {section}; received 'eval.{override}' with "
                f"evaluate={','.join(names)}; leave it out, or name such a protocol"
            )
    threads_override = [] if threads is None else [f"threads={threads}"]
    listed = []
    for name, kind in kinds.items():
        read = [
            override
            for override in overrides
            if sections[override] == kind or sections[override] not in known
        ]
        listed.append([f"protocol={name}", *threads_override, *read])
        data = (
            []
            if not PROTOCOLS.get(kind).reads_images
            or any(read_override(override, commas=True)[0] == "data" for override in overrides)
            else [f"data={config.data.name}"]
        )
        compose_evaluations(read_eval([*listed[-1], *data, f"backbone.name={config.backbone.name}"]), None)
    return listed
