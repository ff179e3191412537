"""Upload a folder to a model repository on the Hugging Face hub, through huggingface_hub.

The files of a publication are one commit: readers see all of the former files, or all of the new ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from regard.checkpoints.hub import check_name, hub_errors, quiet_library, require_hub
from regard.errors import CheckpointError, ConfigError
from regard.files import read_regular_file
from regard.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

CARD = "README.md"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"

StaysOnHub = Callable[[str], bool]
"""Whether the text of a card on the hub must stay, because someone has edited it there."""


@dataclass(frozen=True)
class Repository:
    """A model repository on the hub.

    Attributes:
        name: Its name, OWNER/NAME.
        is_public: Whether everyone may read it.
        exists: Whether it existed before.
    """

    name: str
    is_public: bool
    exists: bool


@dataclass(frozen=True)
class Upload:
    """A finished upload.

    Attributes:
        url: The address of the repository.
        keeps_card: Whether the card on the hub stays as it was.
        is_changed: Whether a file has changed.
    """

    url: str
    keeps_card: bool
    is_changed: bool


def find_repository(name: str, *, public: bool) -> Repository:
    """Return the repository to publish to. Without an owner, it is that of the user who is logged in.

    Raises:
        ConfigError: The name is not valid, or an existing repository does not have the visibility that is asked for.
        CheckpointError: The hub cannot be reached, or the repository contains a model that regard has not written.
    """
    api = _api()
    check_name(name, "NAME")
    with hub_errors(name), quiet_library():
        if "/" not in name:
            name = f"{api.whoami()['name']}/{name}"
        info = _repository_info(api, name)
        if info is None:
            return Repository(name, public, exists=False)
        _check_visibility(info, name, public=public)
        files = {sibling.rfilename for sibling in info.siblings or ()}
        if (CONFIG in files or WEIGHTS in files) and not _is_from_regard(api, name, files):
            raise CheckpointError(
                "the repository contains a model that was not published by regard",
                where=name,
                fix="choose another name, so that its files are not overwritten",
            )
    return Repository(name, public, exists=True)


def upload(folder: Path, repository: Repository, *, message: str, stays_on_hub: StaysOnHub) -> Upload:
    """Upload all files of a folder in one commit; create the repository if it does not exist.

    Args:
        folder: The files, without subfolders.
        repository: From `find_repository`.
        message: The message of the commit.
        stays_on_hub: Whether the card that is on the hub stays.

    Raises:
        CheckpointError: The hub cannot be reached, or refuses the upload. Nothing has changed on it then, except that
            the repository may have been created.
    """
    from huggingface_hub import CommitOperationAdd

    api, name = _api(), repository.name
    with hub_errors(name), quiet_library():
        if not repository.exists:
            api.create_repo(name, private=not repository.is_public)
        info = api.model_info(name)
        card = _read_file(api, name, CARD) if CARD in {file.rfilename for file in info.siblings or ()} else None
        keeps_card = card is not None and stays_on_hub(card)
        paths = [path for path in sorted(folder.iterdir()) if not (keeps_card and path.name == CARD)]
        operations: list[Any] = [CommitOperationAdd(path.name, str(path)) for path in paths]
        commit = api.create_commit(name, operations, commit_message=message, parent_commit=info.sha)
        return Upload(f"{api.endpoint}/{name}", keeps_card, commit.oid != info.sha)


def _api() -> HfApi:
    require_hub()
    from huggingface_hub import HfApi

    return HfApi(library_name="regard", library_version=__version__)


def _repository_info(api: HfApi, name: str) -> ModelInfo | None:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(name)
    except RepositoryNotFoundError:
        return None


def _check_visibility(info: ModelInfo, name: str, *, public: bool) -> None:
    """Raise ConfigError if an existing repository is public though a private one is asked for, or the other way."""
    if not info.private and not public:
        raise ConfigError(
            "the repository is public: everyone could download the model",
            where=name,
            fix="give --public if that is what you want, or choose another name",
        )
    if info.private and public:
        raise ConfigError(
            "the repository is private, and publishing does not change that",
            where=name,
            fix="leave out --public, or make it public in its settings on the hub first",
        )


def _is_from_regard(api: HfApi, name: str, files: set[str]) -> bool:
    if CONFIG not in files:
        return False
    try:
        header = json.loads(_read_file(api, name, CONFIG))
    except ValueError:
        return False
    return isinstance(header, dict) and "regard" in header


def _read_file(api: HfApi, name: str, file: str) -> str:
    """Return the text of a file of a repository."""
    with TemporaryDirectory() as folder:
        path = Path(api.hf_hub_download(name, file, local_dir=folder))
        return read_regular_file(path).decode(errors="replace")
