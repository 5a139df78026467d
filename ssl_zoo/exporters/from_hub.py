"""Files of a model repository on the Hugging Face hub, from its cache or the network: `hf:OWNER/NAME@REVISION`."""

from __future__ import annotations

import re
from pathlib import Path

from ssl_zoo.errors import UserError, shown

__all__ = ["PREFIX", "download"]

PREFIX = "hf:"
FILES = ("config.json", "model.safetensors")
COMMIT = r"[0-9a-f]{40}"
REVISION = r"((?!.*\.\.)\w[\w./+-]*)?"  # a path of the cache is made of it


def download(name: str) -> Path:
    """Returns the folder with the files of a repository, in huggingface_hub's cache.

    HF_HUB_CACHE is where the cache is, HF_HUB_OFFLINE=1 takes what is there, HF_TOKEN opens private repositories.

    Args:
        name: `hf:OWNER/NAME`, with `@REVISION` for a branch, a tag or a commit.

    Raises:
        UserError: there is no such repository, revision or file; it is not cached and there is no network.
    """
    from huggingface_hub import hf_hub_download

    repo, _, revision = name.removeprefix(PREFIX).partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or not re.fullmatch(REVISION, revision):
        raise UserError(
            f"hf:OWNER/NAME names a repository of the hub, hf:OWNER/NAME@REVISION one of its revisions; received "
            f"{shown(name)}"
        )
    commit: str | None = revision or None
    folder = Path()
    for file in FILES:
        try:
            folder = Path(hf_hub_download(repo, file, revision=commit)).parent
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"'{name}' must be a repository that ssl-zoo export to=hub made; its {file} cannot be had "
                f"({type(error).__name__}: {reason}); check the name, the network, HF_HUB_OFFLINE, and 'hf auth login' "
                "where it is private"
            ) from error
        # Both files of one commit, though the branch may move meanwhile.
        if re.fullmatch(COMMIT, folder.name):
            commit = folder.name
    return folder
