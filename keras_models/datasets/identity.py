# SPDX-License-Identifier: Apache-2.0
"""Which data set something was trained on: what a name alone does not say.

Every trained artefact has it: train.json of networks and supernets, and the `.tflite`. It is
compared where two of them meet, since a network never shows that the images are of other classes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np

from keras_models.datasets.core import Dataset, DatasetError, Split

RECORD = "data"  # the key in train.json
OVERRIDE = "--allow_other_data"
_SHOWN = 3  # class names in a message


@dataclasses.dataclass(frozen=True)
class Identity:
    """A data set.

    Attributes:
      name: as given to `--dataset`.
      class_names: in the order of the labels.
      images: in all splits together.
      digest: of names, sizes and labels of its images, split by split; 16 hexadecimal digits. The
        folder that they lie in, and the size that a network takes, do not count.
    """

    name: str
    class_names: tuple[str, ...]
    images: int
    digest: str

    def __str__(self) -> str:
        names = ", ".join(repr(name[:40]) for name in self.class_names[:_SHOWN])
        more = ", ..." if len(self.class_names) > _SHOWN else ""
        return (
            f"{self.name} ({len(self.class_names)} classes {names}{more}; {self.images} images, "
            f"digest {self.digest})"
        )


def identity_of(data: Dataset) -> Identity:
    """The identity of a data set; reads no image."""
    digest = hashlib.sha256()
    splits = (data.train, data.validation, data.test)
    for split in splits:
        _add(digest, split)
    count = sum(len(split) for split in splits)
    return Identity(data.name, data.class_names, count, digest.hexdigest()[:16])


def _add(digest: Any, split: Split) -> None:
    key = getattr(split.source, "content_key", split.source.key)
    known = split.source.labels()
    digest.update(f"{split.name} {len(split)}\n".encode())
    for index in split.indices:
        label = "" if known is None else _text(known[index])
        digest.update(f"{key(int(index))} {label}\n".encode("utf-8", "surrogateescape"))


def _text(target: Any) -> str:
    """A label's number, or the digest of a map."""
    if np.ndim(target) == 0:
        return str(int(target))
    return hashlib.sha256(np.ascontiguousarray(target).tobytes()).hexdigest()[:16]


def recorded_in(tree: Any) -> Identity | None:
    """What a train.json says; None for one that does not say it (of older versions)."""
    found = tree.get(RECORD) if isinstance(tree, dict) else None
    if not isinstance(found, dict):
        return None
    try:
        names, images = found["class_names"], found["images"]
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            return None
        return Identity(str(found["name"]), tuple(names), int(images), str(found["digest"]))
    except (KeyError, TypeError, ValueError):
        return None


def expect_same_classes(
    where: str, trained: tuple[str, ...], data: Dataset, allowed: bool = False
) -> None:
    """Refuses images of other classes than something was trained on.

    Args:
      where: what was trained: a file or folder.
      trained: its class names; () where they are not known.
      data: what it meets.
      allowed: what `--allow_other_data` says.

    Raises:
      DatasetError: one line that says what differs.
    """
    if allowed or not trained or trained == data.class_names:
        return
    raise DatasetError(
        f"{where}: trained on {_classes(trained)}, but {data.name} has {_classes(data.class_names)}"
        f"{_difference(trained, data.class_names)}; give the data set of the training, or "
        f"{OVERRIDE} if its labels mean the same"
    )


def expect_same_data(where: str, trained: Identity | None, found: Identity, allowed: bool) -> None:
    """Refuses another data set, whose images may be of other classes or split in another way.

    Raises:
      DatasetError: one line that says what differs.
    """
    if allowed or trained is None or trained == found:
        return
    raise DatasetError(
        f"{where}: trained on {trained}, got {found}"
        f"{_difference(trained.class_names, found.class_names)}; give the data set of the training "
        f"(--dataset, --data_dir), or {OVERRIDE} if you mean it"
    )


def _classes(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes"


def _difference(trained: tuple[str, ...], found: tuple[str, ...]) -> str:
    for label, (a, b) in enumerate(zip(trained, found, strict=False)):
        if a != b:
            return f": class {label} is {a[:40]!r} there and {b[:40]!r} here"
    return ""
