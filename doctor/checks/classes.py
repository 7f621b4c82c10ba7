"""Names and numbers of classes: variants of a name, classes without examples, extreme imbalance."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketvision.doctor import kinds
from pocketvision.doctor.findings import Findings

EXTREME_RATIO = 1000
"""The most frequent class has this many times the examples of the rarest: it won't be learned as it is."""

_SCARCE = 10


def check_classes(
    names: Sequence[str],
    counts: Mapping[str, Counter[str]],
    root: Path,
    findings: Findings,
    known: Sequence[str | None] | None = None,
    unit: str = "boxes",
) -> None:
    """Findings about classes.

    ``counts`` are examples, split -> name -> number; ``known`` are the names that a config states.
    """
    total: Counter[str] = sum(counts.values(), Counter())
    training = training_counts(counts)
    for name in names:
        if not total[name]:
            findings.notes.add(kinds.CLASS_UNUSED, root, f"{root}: class '{name}' has no {unit}.", name)
        elif not training[name]:
            findings.notes.add(
                kinds.CLASS_NOT_TRAINED,
                root,
                f"{root}: class '{name}' is not in training, only in other splits ({unit}: {total[name]}): "
                "it can't be learned.",
                name,
            )
    for variants in same_but_for_case(names):
        used = ", ".join(f"'{name}' ({total[name]})" for name in variants)
        findings.notes.add(
            kinds.CLASS_VARIANTS,
            root,
            f"{root} has classes that differ only by case, spaces or hyphens: {used}; give them one name.",
            max(variants, key=lambda name: total[name]),
        )
    if known is not None:
        _check_known(total, known, root, findings, unit)
    _check_balance(training, root, findings, unit)


def training_counts(counts: Mapping[str, Counter[str]]) -> Counter[str]:
    """Examples in training splits, or in all if there is none."""
    return sum((counts[split] for split in training_splits(counts)), Counter())


def training_splits(splits: Mapping[str, object] | Sequence[str]) -> list[str]:
    """The splits to train on: trainval, else train, else every one."""
    return next(([name] for name in ("trainval", "train") if name in splits), list(splits))


def same_but_for_case(names: Sequence[str]) -> list[list[str]]:
    """Groups of names that are the same but for case, spaces, hyphens and underscores."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[re.sub(r"[\s_-]+", " ", name.strip()).casefold()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _check_known(
    total: Counter[str], known: Sequence[str | None], root: Path, findings: Findings, unit: str
) -> None:
    for name in sorted(name for name in total if total[name] and name not in known):
        findings.notes.add(
            kinds.CLASS_NOT_NAMED,
            root,
            f"{root} has {total[name]} {unit} of class '{name}', which the config does not "
            "name: add it to class_names, or rename these.",
            name,
        )


def _check_balance(training: Counter[str], root: Path, findings: Findings, unit: str) -> None:
    used = [(name, count) for name, count in training.most_common() if count]
    if len(used) < 2:
        return
    (most, high), (least, low) = used[0], used[-1]
    if high >= EXTREME_RATIO * low or (low < _SCARCE and high >= 100 * low):
        findings.notes.add(
            kinds.CLASS_IMBALANCE,
            root,
            f"{root}: class '{most}' has {high} {unit} in training, '{least}' only {low}: collect more of "
            "the rare ones, weigh them, or leave them out.",
            least,
        )
