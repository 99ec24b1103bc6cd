# SPDX-License-Identifier: Apache-2.0
"""What a scale for each group of inputs would gain over one for each channel, at 4 bits.

    python -m benchmarks.weight_groups --network=hybrid_32 --out=docs/results/weight_groups.json

Of the trained weights of each layer: numbers in [-7, 7], each to the nearest, by the best of
`converter.weight_bits.rounding.SCALES` for a channel or for a group of its inputs. A record keeps
what it has of other networks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.versions import versions_of
from converter.weight_bits.rounding import fitted_scale
from keras_models.load import SHIPPED, WEIGHTS_FILE
from tflm_custom_ops.ops.layouts import MAX4
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("weight_groups", __doc__)
_NETWORK = flags.network(FLAGS, "A trained one.", "hybrid_32")
_OUT = flags.out(FLAGS, "The record to write.")

GROUPS = (32, 64)  # inputs
SCALE_BITS = 8  # of a group's scale, were it stored

Array = NDArray[np.float64]


def layers(folder: str) -> Iterator[tuple[str, Array]]:
    """Name and weights [channels, inputs] of the linear layers and convolutions."""
    with h5py.File(os.path.join(folder, WEIGHTS_FILE)) as file:
        found: dict[str, Array] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim in (2, 4) and item.shape[-1] > 1:
                kernel = np.asarray(item, np.float64)
                found[name] = kernel.reshape(-1, kernel.shape[-1]).T

        file.visititems(visit)
    yield from found.items()


def _decibels(weights: Array, group: int) -> float:
    """Energy of a layer's weights over that of what rounding leaves; 0 inputs: a whole channel."""
    inputs = weights.shape[1]
    size = group or inputs
    padded = np.pad(weights, ((0, 0), (0, -inputs % size))).reshape(-1, size)
    scale = fitted_scale(padded, np.ones(size))[:, None]
    left = np.clip(np.rint(padded / scale), -MAX4, MAX4) * scale - padded
    return float(10 * np.log10(np.square(padded).sum() / np.square(left).sum()))


def measured(folder: str) -> dict[str, Any]:
    """Layers of more inputs than a group, with the mean gain of each size of groups."""
    rows = []
    for name, weights in layers(folder):
        channel = _decibels(weights, 0)
        gains = {str(g): round(_decibels(weights, g) - channel, 2) for g in GROUPS}
        rows.append({"layer": name, "inputs": weights.shape[1], "db": round(channel, 2), **gains})
    gain = {str(g): [r[str(g)] for r in rows if r["inputs"] > g] for g in GROUPS}
    return {
        "mean_gain_db": {g: round(float(np.mean(each)), 2) for g, each in gain.items()},
        "largest_gain_db": {g: max(each) for g, each in gain.items()},
        "more_flash": {str(g): round(SCALE_BITS / (4 * g), 4) for g in GROUPS},
        "layers": rows,
    }


def _body() -> None:
    expect_writable(_OUT.value)
    name, path = _NETWORK.value, Path(_OUT.value)
    folder = name if os.path.isdir(name) else os.path.join(SHIPPED, name)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = {
        "command": typed_command("benchmarks.weight_groups"),
        "versions": versions_of("numpy", "h5py"),
        **measured(folder),
    }
    write_json(_OUT.value, {**known, Path(name).name: found})
    print(found["mean_gain_db"], found["largest_gain_db"])
    print(f"wrote {_OUT.value}")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
