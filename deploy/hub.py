"""Models in folders and on the Hugging Face hub: a weights file with its passport and a card, never code."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.files import check_new, replacing
from pocketvision.core.weights import read_passport
from pocketvision.deploy.model_card import card_of
from pocketvision.deploy.packages import optional
from pocketvision.models import VisionModel
from pocketvision.runs.folder import Run
from pocketvision.runs.passport import build_from_passport
from pocketvision.runs.ready_model import load_model

WEIGHTS, CARD = "weights.safetensors", "README.md"
SCHEME = "hf://"
_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w./-]*", re.ASCII)


def save_pretrained(source: str | Path, folder: str | Path, licence: str | None = None) -> Path:
    """Write the weights of a run folder or of our .safetensors, and a model card, into ``folder``.

    ``licence`` is that of the weights for the card (default: what their file says).

    Raises:
        InputError: the weights are no .safetensors whose passport builds their model, or a file is there.
    """
    target, path = Path(folder), _weights_of(Path(source))
    passport = read_passport(path)
    model = build_from_passport(passport, path)
    for name in (WEIGHTS, CARD):
        check_new(target / name, "folder")
    card = card_of(model, passport, licence)
    with replacing(target / WEIGHTS) as temporary:
        temporary.write_bytes(path.read_bytes())
    with replacing(target / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")
    return target


def from_pretrained(source: str | Path) -> VisionModel:
    """The ready model of a folder that :func:`save_pretrained` wrote, or of ``hf://owner/name[@revision]``.

    Of either only ``weights.safetensors`` is read. Code and pickled files that lie beside it are neither
    fetched nor opened, and the passport can only name models that this version ships.

    Raises:
        InputError: there is no such file, it is broken, or it needs code of its own.
    """
    text = str(source)
    return load_model(_fetch(text) if text.startswith(SCHEME) else _file_in(Path(source)))


def push_to_hub(source: str | Path, name: str, *, licence: str | None = None, is_private: bool = True) -> str:
    """Upload what :func:`save_pretrained` writes to the repository ``owner/name``, made where it is missing.

    The token is the one that ``hf auth login`` keeps.

    Returns:
        The address of the repository.

    Raises:
        InputError: the name is none, the hub refuses, or as :func:`save_pretrained` does.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' names no repository: give owner/name.")
    hub = optional("huggingface_hub")
    with tempfile.TemporaryDirectory(prefix="pocketvision-hub-") as folder:
        save_pretrained(source, folder, licence)
        try:
            address = str(hub.create_repo(name, private=is_private, exist_ok=True))
            hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=[WEIGHTS, CARD])
        except (OSError, ValueError) as error:
            raise InputError(
                f"The hub did not take {name} ({_reason(error)}): check name and token."
            ) from error
    return address


def _weights_of(source: Path) -> Path:
    path = Run.open(source).weights if source.is_dir() else source
    if path.suffix != ".safetensors":
        raise InputError(f"{path} is no .safetensors file: only those are shared; finish the training first.")
    return path


def _file_in(folder: Path) -> Path:
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{folder} holds no {WEIGHTS}, and other files are not opened: check the path.")
    return path


def _fetch(address: str) -> Path:
    """The weights file of ``hf://owner/name[@revision]``, from the hub's cache if it is there."""
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    if not _NAME.fullmatch(name) or (revision and not _REVISION.fullmatch(revision)):
        raise InputError(
            f"'{address}' names no repository: give hf://owner/name or hf://owner/name@revision."
        )
    hub = optional("huggingface_hub")
    no_entry = optional("huggingface_hub.errors").EntryNotFoundError
    try:
        return Path(hub.hf_hub_download(name, WEIGHTS, revision=revision or None))
    except (OSError, ValueError, no_entry) as error:
        raise InputError(
            f"{address} gives no {WEIGHTS} ({_reason(error)}): check name and network."
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:200]
