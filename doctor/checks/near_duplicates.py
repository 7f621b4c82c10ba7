"""Images that are in training and in validation: the same file, equal bytes, or nearly the same picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.images.clips import runs
from pocketvision.datasets.images.likeness import groups_of, near_pairs
from pocketvision.doctor import kinds
from pocketvision.doctor.checks.images import ImageFacts
from pocketvision.doctor.findings import Findings


def split_pairs(splits: Sequence[str]) -> list[tuple[str, str]]:
    """Which splits must not share images: trainval holds train and val by design."""
    training = [name for name in splits if name.startswith("train")]
    held_out = [name for name in splits if name.startswith(("val", "test"))]
    pairs = [(a, b) for a in training for b in held_out if not (a == "trainval" and b.startswith("val"))]
    return [
        *pairs,
        *((a, b) for a in held_out for b in held_out if a.startswith("val") and b.startswith("test")),
    ]


def check_copies(
    members: Mapping[str, Sequence[str]], facts: Mapping[str, ImageFacts], findings: Findings
) -> None:
    """Findings about images shared between splits; ``members`` are the paths of each split."""
    if not split_pairs(list(members)):
        return
    reported: set[tuple[str, str]] = set()
    digests = _digests(facts)
    for a, b in split_pairs(list(members)):
        first, second = ([path for path in members[name] if path in facts] for name in (a, b))
        where = f"{a} and {b}"
        same = _same_content(first, second, digests)
        for one, other in same:
            what = f"{one} is" if one == other else f"{one} and {other} are the same image,"
            sentence = f"{what} in {a} and in {b}, so that scores come out too good: keep it in one of them."
            _report(kinds.COPY_ACROSS_SPLITS, one, other, sentence, where, reported, findings)
        first, second = (
            [path for path in side if facts[path].thumbnail is not None] for side in (first, second)
        )
        for i, j in near_pairs(_stack(first, facts), _stack(second, facts)):
            one, other = first[i], second[j]
            sentence = f"{one} of {a} shows nearly the same as {other} of {b}: keep both in one split."
            _report(kinds.NEAR_COPY_ACROSS_SPLITS, one, other, sentence, where, reported, findings)


def check_division(paths: Sequence[str], facts: Mapping[str, ImageFacts], findings: Findings) -> None:
    """Findings about images of one split, which training divides, that show nearly the same."""
    seen = [path for path in paths if path in facts and facts[path].thumbnail is not None]
    for i, first in enumerate(groups_of(_stack(seen, facts)).tolist()):
        if first != i:
            one, other = seen[first], seen[i]
            sentence = (
                f"{other} shows nearly the same as {one}: training and validation are divided so that both "
                "are in one of them; keep them together where you divide the data."
            )
            findings.notes.add(kinds.NEAR_COPY_IN_SPLIT, other, sentence, "", other, other=one)


def check_clips(
    members: Mapping[str, Sequence[str]], facts: Mapping[str, ImageFacts], findings: Findings
) -> None:
    """Findings about runs of numbered images that show nearly the same, and about splits that divide one."""
    every = dict.fromkeys(path for paths in members.values() for path in paths)
    seen = [path for path in every if path in facts and facts[path].thumbnail is not None]
    homes = {split: set(paths) for split, paths in members.items()}
    for run in runs(seen, groups_of(_stack(seen, facts))):
        first, last = seen[run[0]], seen[run[-1]]
        counts = {split: sum(seen[i] in own for i in run) for split, own in homes.items()}
        where = [split for split, count in counts.items() if count]
        told = f"{first} to {Path(last).name} are {len(run)} nearly identical frames of one clip"
        if split_pairs(where):
            shares = " and ".join(f"{counts[split]} in {split}" for split in where)
            sentence = (
                f"{told}, {shares}, so that scores come out too good: keep a clip in one split, as "
                "training and convert-data do where they divide the data."
            )
            findings.notes.add(
                kinds.CLIP_ACROSS_SPLITS, first, sentence, " and ".join(where), first, other=last
            )
        else:
            sentence = f"{told}: they teach little more than one of them; keep fewer, and all in one split."
            findings.notes.add(kinds.CLIP, first, sentence, ", ".join(where), first, other=last)


def _report(
    kind: kinds.Kind,
    one: str,
    other: str,
    sentence: str,
    where: str,
    reported: set[tuple[str, str]],
    findings: Findings,
) -> None:
    if (one, other) not in reported:
        reported.add((one, other))
        findings.notes.add(kind, other, sentence, where, other, other=None if one == other else one)


def _stack(paths: Sequence[str], facts: Mapping[str, ImageFacts]) -> npt.NDArray[np.uint8]:
    thumbnails = [facts[path].thumbnail for path in paths]
    return np.stack([t for t in thumbnails if t is not None]) if paths else np.zeros((0, 16, 18), np.uint8)


def _digests(facts: Mapping[str, ImageFacts]) -> dict[str, bytes]:
    """Hashes of the contents of those files that have the size of another."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for path, known in facts.items():
        if known.num_bytes:
            by_size[known.num_bytes].append(path)
    candidates = [path for paths in by_size.values() if len(paths) > 1 for path in paths]
    return {path: hashlib.blake2b(Path(path).read_bytes()).digest() for path in candidates}


def _same_content(
    first: Sequence[str], second: Sequence[str], digests: Mapping[str, bytes]
) -> list[tuple[str, str]]:
    own = set(first)
    by_digest = {digests[path]: path for path in first if path in digests}
    pairs = [(path, path) for path in second if path in own]
    others = [(by_digest[digests[p]], p) for p in second if p not in own and digests.get(p) in by_digest]
    return [*pairs, *others]
