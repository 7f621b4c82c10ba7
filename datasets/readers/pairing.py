"""Which label or mask belongs to which image: by name, in any case, with a prefix or suffix of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pocketvision.datasets.records.kinds import PAIRED_BY_PART
from pocketvision.datasets.records.notes import Notes

_WORDS = re.compile(r"(?:[\W_]+[A-Za-z][A-Za-z0-9]*)+$")
_BEGINNING = re.compile(r"^[A-Za-z]+[\W_]+(?=.)")


def pair(images: Sequence[Path], others: Iterable[Path], notes: Notes) -> dict[Path, Path]:
    """Image -> its partner: ``a.txt`` or ``a.jpg.txt`` for ``a.jpg``, then ``a_mask.png`` or ``label_a.txt``.

    Prefixes and suffixes count only where they lead from partners that are left to images that are left,
    and to one each. Of two partners of a name the first counts.
    """
    found: dict[Path, Path] = {}
    by_name: dict[str, Path] = {}
    rest = list(others)
    for other in rest:
        by_name.setdefault(other.stem, other)
    for image in images:
        partner = by_name.get(image.stem) or by_name.get(image.name)
        if partner is not None:
            found[image] = partner
    if len(found) < len(images):
        _pair_in_any_case(images, rest, found)
    if len(found) < len(images) and len(set(found.values())) < len(rest):
        _pair_by_part(images, rest, found, notes)
    return found


def _left(
    images: Sequence[Path], others: Sequence[Path], found: dict[Path, Path]
) -> tuple[list[Path], list[Path]]:
    taken = set(found.values())
    return [image for image in images if image not in found], [o for o in others if o not in taken]


def _pair_in_any_case(images: Sequence[Path], others: Sequence[Path], found: dict[Path, Path]) -> None:
    free_images, free = _left(images, others, found)
    by_name: dict[str, Path] = {}
    for other in free:
        by_name.setdefault(other.stem.lower(), other)
    for image in free_images:
        partner = by_name.get(image.stem.lower()) or by_name.get(image.name.lower())
        if partner is not None:
            found[image] = partner


def _pair_by_part(
    images: Sequence[Path], others: Sequence[Path], found: dict[Path, Path], notes: Notes
) -> None:
    free_images, free = _left(images, others, found)
    matches = _by_affix(free_images, free) or _by_core(free_images, free)
    for image, other in matches.items():
        found[image] = other
        sentence = f"{other} has no image of its name, and was taken for that of {image}: give both one name."
        notes.add(PAIRED_BY_PART, other, sentence, "", image)


def _by_affix(images: Sequence[Path], others: Sequence[Path]) -> dict[Path, Path]:
    """Partners that all have the same prefix or suffix beside their image's name."""
    stems = {image.stem: image for image in images}
    affixes: Counter[tuple[str, str]] = Counter()
    for other in others:
        stem = other.stem
        affixes.update(("", stem[cut:]) for cut in range(1, len(stem)) if stem[:cut] in stems)
        affixes.update((stem[:cut], "") for cut in range(1, len(stem)) if stem[cut:] in stems)
    for (prefix, suffix), count in affixes.most_common():
        if re.search("[A-Za-z]", prefix + suffix) and 2 * count > min(len(images), len(others)):
            names = {other.stem: other for other in others}
            return {
                image: names[f"{prefix}{stem}{suffix}"]
                for stem, image in stems.items()
                if f"{prefix}{stem}{suffix}" in names
            }
    return {}


def _by_core(images: Sequence[Path], others: Sequence[Path]) -> dict[Path, Path]:
    """Partners whose names differ in the words at their ends, such as ``104_sat`` and ``104_mask``."""
    for strip in (_WORDS, _BEGINNING):
        own, their = _cores(images, strip), _cores(others, strip)
        common = {core: (own[core][0], their[core][0]) for core in own.keys() & their.keys()}
        is_unique = all(len(own[core]) == 1 == len(their[core]) for core in common)
        if common and is_unique and 2 * len(common) > min(len(images), len(others)):
            return dict(common.values())
    return {}


def _cores(paths: Iterable[Path], strip: re.Pattern[str]) -> dict[str, list[Path]]:
    cores: dict[str, list[Path]] = {}
    for path in paths:
        cores.setdefault(strip.sub("", path.stem), []).append(path)
    return cores
