"""Pretrained weights that would be fetched: what is fetched is said, and a network that isn't there refused at once.

Without this huggingface_hub is silent and tries for 50 seconds.
"""

from __future__ import annotations

import sys

import timm
from huggingface_hub import constants, get_session, try_to_load_from_cache

from ssl_zoo.errors import UserError

__all__ = ["announce"]

FILES = ("model.safetensors", "pytorch_model.bin")
PATIENCE = 5.0  # seconds for the hub to answer


def announce(name: str) -> None:
    """Names on stderr the weights of a timm model that are about to be fetched; those on this machine need no word.

    Raises:
        UserError: they are not on this machine, and the hub cannot be reached.
    """
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if known is None or not known.hf_hub_id:
        return
    identifier, _, revision = known.hf_hub_id.partition("@")
    files = (known.hf_hub_filename,) if known.hf_hub_filename else FILES
    if any(
        isinstance(try_to_load_from_cache(identifier, file, revision=revision or None), str) for file in files
    ):
        return
    sys.stderr.write(f"fetching the pretrained weights of '{name}': {identifier} from {constants.ENDPOINT}\n")
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception as error:  # of whichever client the hub has
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"backbone.pretrained=true needs the weights {identifier}, which are not on this machine, and "
            f"{constants.ENDPOINT} cannot be reached ({reason}); "
            f"connect to the network (HTTPS_PROXY, HF_ENDPOINT), or fetch them elsewhere (hf download {identifier}) "
            f"into '{constants.HF_HUB_CACHE}', or set backbone.pretrained=false"
        ) from error
