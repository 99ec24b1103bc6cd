# SPDX-License-Identifier: Apache-2.0
"""What a training was set up with, so that a resume goes on with the same or says what differs.

A set-up is a JSON object in the checkpoint: recipe, architecture, seed, what the data set holds
(`keras_models.datasets.identity`, not its folder's name), a digest of the weights that the training
began with, and the versions of the packages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from keras_models.datasets.core import Dataset
from keras_models.datasets.identity import RECORD, Identity, identity_of
from keras_models.training.checkpoint import CheckpointError, read_progress
from tflm_vit.files import parse_json, reading

VERSIONS = "versions"
_VERSIONS_OF = ("keras", "tensorflow", "jax", "numpy")
_REMEDY = "give the same, or start again without the checkpoint"


def versions() -> dict[str, str]:
    """Of Python and the packages that decide numbers."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def weights_digest(weights: Iterable[Any]) -> str:
    """16 hexadecimal digits of arrays in their order."""
    digest = hashlib.sha256()
    for array in weights:
        value = np.ascontiguousarray(array)
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()[:16]


def setup_text(data: Dataset | Identity, **parts: Any) -> str:
    """The set-up as JSON: ``parts``, what the data set holds, and versions."""
    identity = data if isinstance(data, Identity) else identity_of(data)
    whole = {**parts, RECORD: dataclasses.asdict(identity), VERSIONS: versions()}
    return json.dumps(whole, sort_keys=True)


def setup_digest(setup: str) -> str:
    """16 hexadecimal digits of a set-up's JSON; the versions do not count."""
    tree = {k: v for k, v in parse_json(setup).items() if k != VERSIONS}
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def _leaves(value: Any, gone: Collection[str], name: str = "") -> dict[str, Any]:
    """Values of a JSON tree by path; nothing, null and an empty list are the same."""
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, part in value.items():
            if key not in gone:
                found |= _leaves(part, gone, f"{name}.{key}" if name else str(key))
        return found
    return {} if value is None or value == [] else {name: value}


def differences(
    found: Any, wanted: Any, gone: Collection[str] = ()
) -> dict[str, tuple[object, object]]:
    """(value found, value wanted) by path, None for nothing.

    What only a newer version writes down (a whole part) is no difference.
    """
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return {"set-up": (found, wanted)}
    parts = [part for part in wanted if part in found]
    a, b = (_leaves({p: tree[p] for p in parts}, gone) for tree in (found, wanted))
    pairs = {path: (a.get(path), b.get(path)) for path in {**a, **b}}
    return {path: (was, now) for path, (was, now) in pairs.items() if was != now}


def check_setup(path: str, wanted: str, gone: Collection[str] = ()) -> None:
    """Compares a checkpoint's set-up with that of the training that is to go on.

    Other versions are said on stdout: finished epochs are not lost to an update, but the rest is
    not the uninterrupted run's to the bit.

    Args:
      gone: fields of earlier versions that are no choices any more.

    Raises:
      CheckpointError: unreadable, or anything else differs; the message names it, with both values.
    """
    with reading(path, "a checkpoint", CheckpointError):
        found, expected = parse_json(read_progress(path).setup), parse_json(wanted)
        changed = differences(found, expected, gone)
    for name, (was, now) in changed.items():
        part, _, rest = name.partition(".")
        if part != VERSIONS:
            raise CheckpointError(
                f"{path}: made with another {name} ({str(was)[:60]}, now {str(now)[:60]}); "
                f"{_REMEDY}"
            )
        print(f"{path}: made with {rest} {was}, going on with {now}", flush=True)
