"""timm's pretrained weights: on this machine, within reach, or refused at once."""

from __future__ import annotations

import sys

import timm
from huggingface_hub import constants, get_session, try_to_load_from_cache

from ssl_zoo.errors import UserError

__all__ = ["announce_download"]

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
HUB_TIMEOUT = 5.0  # seconds


def announce_download(name: str) -> None:
    """Logs on stderr which weights of a timm model are about to be downloaded; nothing if they are in the cache.

    Without this huggingface_hub is silent, and tries for 50 seconds to reach a network that is not there.

    Raises:
        UserError: they are not in the cache, and the hub cannot be reached.
    """
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if known is None or not known.hf_hub_id:
        return
    identifier, _, revision = known.hf_hub_id.partition("@")
    files = (known.hf_hub_filename,) if known.hf_hub_filename else WEIGHT_FILES
    cached = (try_to_load_from_cache(identifier, file, revision=revision or None) for file in files)
    if any(isinstance(path, str) for path in cached):
        return
    sys.stderr.write(f"fetching the pretrained weights of '{name}': {identifier} from {constants.ENDPOINT}\n")
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception as error:  # the type depends on the hub's HTTP client
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"backbone.pretrained=true needs the weights {identifier}, which are not on this machine, and "
            f"{constants.ENDPOINT} cannot be reached ({reason}); "
            f"connect to the network (HTTPS_PROXY, HF_ENDPOINT), or fetch them elsewhere (hf download {identifier}) "
            f"into '{constants.HF_HUB_CACHE}', or set backbone.pretrained=false"
        ) from error
