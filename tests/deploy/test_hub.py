"""Covers deploy/hub.py, deploy/model_card.py.

Folders and the hub's names; what a repository can't do. No test asks the hub: nothing was uploaded to it.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import pocketvision
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport, save_weights
from pocketvision.deploy import hub

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tests" / "runs" / "version_0_1" / "quickstart"


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pocketvision.save_pretrained(RUN, tmp_path / "saved", licence="Apache-2.0")


def test_a_folder_gives_back_the_model_bit_by_bit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "weights.safetensors"]
    before, after = pocketvision.load(RUN), pocketvision.from_pretrained(folder)
    assert before.class_names == after.class_names
    assert {k: v.tolist() for k, v in before.state_dict().items()} == {
        k: v.tolist() for k, v in after.state_dict().items()
    }
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    for left, right in zip(before(images), after(images), strict=True):
        assert torch.equal(left, right)
    again = pocketvision.save_pretrained(folder / "weights.safetensors", folder / "again")
    assert (again / "weights.safetensors").read_bytes() == (RUN / "weights.safetensors").read_bytes()


def test_the_card_says_what_the_passport_knows(folder: Path) -> None:
    header, _, text = (folder / "README.md").read_text().removeprefix("---\n").partition("---\n")
    facts = yaml.safe_load(header)
    assert facts["pipeline_tag"] == "object-detection" and facts["license_name"] == "Apache-2.0"
    metrics = json.loads((RUN / "metrics.json").read_text())
    assert f"| AP | {metrics['AP']:.4f} | 0.0000 to 0.0205 |" in text
    assert "circle, square, triangle, star" in text and "4 images of the split val" in text
    num_params = sum(value.numel() for value in pocketvision.load(RUN).parameters())
    assert f"| parameters | {num_params:,} |" in text and str(ROOT) not in text


def test_what_a_passport_says_stays_text_in_the_card(tmp_path: Path) -> None:
    path, model = RUN / "weights.safetensors", pocketvision.load(RUN)
    names = ["<script>", "a|b", "[x](y)", "two\nlines"]
    changed = {**read_passport(path), "class_names": names, "licence": 'x"\n---\nevil: true'}
    save_weights(tmp_path / "w.safetensors", model, changed)
    text = (
        pocketvision.save_pretrained(tmp_path / "w.safetensors", tmp_path / "saved") / "README.md"
    ).read_text()
    assert "<script>" not in text and r"a\|b, \[x\](y), two lines" in text
    assert "evil" not in yaml.safe_load(text.split("---\n")[1])


def test_nothing_is_written_over(folder: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        pocketvision.save_pretrained(RUN, folder)


def test_pickled_files_and_code_are_not_opened(tmp_path: Path) -> None:
    place = tmp_path / "made"
    bad = tmp_path / "bad"
    shutil.copytree(RUN / "config", bad / "config")
    (bad / "run.json").write_bytes((RUN / "run.json").read_bytes())
    for config in (bad / "config").glob("*.py"):
        config.write_text(f"import os\nos.mkdir({str(place)!r})\n")
    for name in ("pytorch_model.bin", "weights.ckpt", "weights.pt"):
        (bad / name).write_bytes(pickle.dumps(Bomb(place)))
    with pytest.raises(InputError, match=r"holds no weights\.safetensors"):
        pocketvision.from_pretrained(bad)
    (bad / "weights.safetensors").write_bytes(pickle.dumps(Bomb(place)))
    with pytest.raises(InputError, match="safetensors"):
        pocketvision.from_pretrained(bad)
    shutil.copyfile(RUN / "weights.safetensors", bad / "weights.safetensors")
    pocketvision.from_pretrained(bad)
    assert not place.exists()


@pytest.mark.parametrize(
    "builder",
    [
        {"config": "../../../bad/evil", "function": "model", "arguments": {}},
        {"config": "/tmp/evil", "function": "model", "arguments": {}},
        {"config": "quickstart", "function": "__import__", "arguments": {}},
        {"config": "quickstart", "function": "model", "arguments": {"weights": "../../secret.pt"}},
        None,
    ],
)
def test_a_passport_chooses_no_other_file_or_function(builder: Any, tmp_path: Path) -> None:
    passport = {**read_passport(RUN / "weights.safetensors"), "builder": builder}
    save_weights(tmp_path / "weights.safetensors", pocketvision.load(RUN), passport)
    with pytest.raises(InputError):
        pocketvision.from_pretrained(tmp_path)
    with pytest.raises(InputError):
        pocketvision.save_pretrained(tmp_path / "weights.safetensors", tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    "address", ["hf://", "hf://name", "hf://../..", "hf://a/..", "hf://a/b/../../c", "hf:///etc/passwd",
                "hf://a/b@../../x", "hf://a/b\n/c", "hf://https://x/y"],
)  # fmt: skip
def test_an_address_is_a_repository_and_nothing_else(address: str) -> None:
    with pytest.raises(InputError, match="names no repository"):
        pocketvision.load(address)


def test_an_address_is_found_in_the_hubs_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hub's own client lays it out; the network is not asked."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="an optional package")
    commit, cache = "a" * 40, folder.parent / "cache"
    place = cache / "models--someone--shapes"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots" / commit).mkdir(parents=True)
    shutil.copyfile(folder / hub.WEIGHTS, place / "snapshots" / commit / hub.WEIGHTS)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pocketvision.load("hf://someone/shapes").class_names == pocketvision.load(RUN).class_names
    with pytest.raises(InputError, match=r"hf://someone/else gives no weights\.safetensors"):
        pocketvision.load("hf://someone/else")
    with pytest.raises(InputError, match="has its own weights"):
        pocketvision.load("hf://someone/shapes", class_names=("a",))


def test_weights_that_are_no_safetensors_are_not_shared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no \.safetensors file"):
        pocketvision.save_pretrained(tmp_path / "last.ckpt", tmp_path / "saved")
    with pytest.raises(InputError, match="names no repository"):
        pocketvision.push_to_hub(RUN, "../x")
