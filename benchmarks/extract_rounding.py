# SPDX-License-Identifier: Apache-2.0
"""What float32's rounding does to networks that are far from their supernet in it.

    python -m benchmarks.extract_rounding --space=mcuformer_t_relative --numbers=8,42,5,12 \\
        --out=docs/results/extract_rounding.json

Networks by their numbers in `benchmarks.extract_equality`, in float32 and, from the same weights,
in float64. Were one of the two wrong, they would differ in float64 as well; where they do not,
either one's distance to float64 is its own rounding, and the sum of both distances bounds what they
can be apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.extract_equality import (
    both_logits,
    computing_in,
    difference,
    drawn_images,
    drawn_network,
    randomized,
)
from benchmarks.versions import versions_of
from nas import command as shared
from nas.space.presets import get_space
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("extract_rounding", __doc__)
shared.space(FLAGS)
FLAGS.words("numbers", ["0"], "Of networks.")
flags.seed(FLAGS, "Of weights, networks and images.")
flags.out(FLAGS, "File of the record.", required=False)


def as_float64(net: Any, space: Any, seed: int) -> Any:
    """The same supernet, with the same weights, in float64."""
    from nas.supernet.make import make_supernet

    with computing_in("float64"):
        wide = make_supernet(space, seed)
    for own, given in zip(wide.weights, net.weights, strict=True):
        own.assign(np.asarray(given).astype(np.float64))
    return wide


def row(nets: tuple[Any, Any], space: Any, seed: int, number: int) -> dict[str, Any]:
    """Of one network, with the supernet in float32 and in float64: distances over the largest
    logit."""
    import keras

    config, images = drawn_network(space, seed, number), drawn_images(space, seed)
    narrow = both_logits(nets[0], config, images)
    with computing_in("float64"):
        wide = both_logits(nets[1], config, images.astype(np.float64))
    keras.backend.clear_session()
    return {
        "network": number,
        "apart_float32": difference(narrow[1], narrow[0]),
        "apart_float64": difference(wide[1], wide[0]),
        "supernet_rounding": difference(narrow[0], wide[0]),
        "extracted_rounding": difference(narrow[1], wide[1]),
    }


def _body() -> None:
    space, seed = get_space(FLAGS.space), FLAGS.seed
    net = randomized(space, seed)
    nets = net, as_float64(net, space, seed)
    numbers = tqdm([int(each) for each in FLAGS.numbers], desc=space.name, unit="network")
    rows = [row(nets, space, seed, number) for number in numbers]
    for each in rows:
        print(each)
    if FLAGS.out:
        record = {
            "command": typed_command("benchmarks.extract_rounding"),
            "versions": versions_of("tensorflow", "keras", "numpy"),
            "space": space.name,
            "seed": seed,
            "rows": rows,
        }
        write_json(FLAGS.out, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
