"""Models on the Hugging Face Hub: download and upload.

huggingface_hub decides where the Hub is, how to sign in and where downloads are kept
(``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME``), and ``HF_HUB_OFFLINE=1`` keeps it off the network.
"""

from __future__ import annotations

import re
from pathlib import Path

from affectlib._extras import requires_extra
from affectlib.errors import ArtifactError, ArtifactNotFoundError, OptionError

__all__ = ["HUB_ID", "download", "upload"]

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
"""What an id on the Hub looks like."""

_FILES = ["*.json", "*.safetensors", "*.onnx", "README.md", "reliability.svg"]
"""What an artifact may hold: no code, and nothing pickled."""


def download(name: str, revision: str | None = None, *, local_files_only: bool) -> Path:
    """Return the folder of a model of the Hub, downloaded if it has changed.

    Args:
        name: Its id, ``user/name``.
        revision: A branch, tag or commit; ``main`` if None.
        local_files_only: Whether to stay off the network and use what was downloaded before.

    Raises:
        ArtifactNotFoundError: There is no such model, or it cannot be reached.
    """
    with requires_extra("hub"):
        from huggingface_hub import snapshot_download
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=_FILES,
                local_files_only=local_files_only,
            )
        )
    except Exception as error:  # those of the HTTP client have no base in common with others
        problem = (
            "it was not downloaded before"
            if local_files_only
            else f"it cannot be loaded from the Hugging Face Hub ({type(error).__name__}); check "
            "the id, the revision, the connection, HF_HUB_OFFLINE, and, if it is private, HF_TOKEN"
        )
        raise ArtifactNotFoundError(f"no model {name!r}: {problem}") from error


def upload(folder: Path, name: str, *, private: bool, message: str, token: str | None) -> str:
    """Upload an artifact to the Hub as one commit; make the repository if there is none.

    Returns:
        The commit's address.

    Raises:
        OptionError: `name` is not an id on the Hub.
        ArtifactError: The Hub refused it, or cannot be reached.
    """
    if not HUB_ID.fullmatch(name):
        raise OptionError(f"expected an id of the Hugging Face Hub, user/name, not {name!r}")
    with requires_extra("hub"):
        from huggingface_hub import CommitOperationAdd, HfApi
    api = HfApi(token=token)
    files = [
        CommitOperationAdd(path.name, path)
        for path in sorted(folder.iterdir())
        if any(path.match(pattern) for pattern in _FILES)
    ]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.create_commit(name, files, commit_message=message)
    except Exception as error:  # see above
        raise ArtifactError(
            f"{name}: the Hugging Face Hub did not accept the model ({type(error).__name__}); "
            "check the id, the connection, HF_HUB_OFFLINE, and that HF_TOKEN may write there"
        ) from error
    return str(commit.commit_url)
