# SPDX-License-Identifier: Apache-2.0
"""Renders the data set of depth and segmentation: `python -m keras_models.render_scenes --out=DIR`.

Writes train.npz, validation.npz and test.npz: RGB pictures of 96x96, depth in metres and the class
of each pixel, which follow from --seed. Needs MuJoCo (pip install mujoco PyOpenGL) and Debian's
libosmesa6; nothing else of the toolkit does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from keras_models.datasets.scenes import SPLITS, split_file
from keras_models.scenes.world import mujoco_module, pictures
from tflm_vit import flags
from tflm_vit.files import expect_writable_folder, write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("render_scenes", __doc__)
flags.out(FLAGS, "Folder of the data set.")
flags.seed(FLAGS, "Of all pictures.")
FLAGS.integer("train", 5000, "Pictures of the training split.", 1)
FLAGS.integer("validation", 250, "Of the validation split.", 1)
FLAGS.integer("test", 500, "Of the test split.", 1)


def _render(split: str, count: int, seed: int) -> bytes:
    """The file of a split."""
    shown = tqdm(pictures(count, (seed, SPLITS.index(split))), split, count, unit="picture")
    color, depth, labels = (np.stack(part) for part in zip(*shown, strict=True))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, color=color, depth=depth, labels=labels)
    return buffer.getvalue()


def _body() -> None:
    mujoco_module()
    os.makedirs(FLAGS.out, exist_ok=True)
    expect_writable_folder(FLAGS.out)
    for split in SPLITS:
        write_atomic(split_file(FLAGS.out, split), _render(split, FLAGS[split].value, FLAGS.seed))
    print(f"wrote {', '.join(split_file(FLAGS.out, split) for split in SPLITS)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Renders as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
