# SPDX-License-Identifier: Apache-2.0
"""Renders scenes to learn from: `python -m keras_models.render_scenes --out=DIR`.

Writes train.npz, validation.npz and test.npz: RGB pictures of 96x96, depth in metres and the class
of each pixel, and boxes of the objects, which follow from --seed. Needs MuJoCo (pip install mujoco
PyOpenGL) and Debian's libosmesa6; nothing else of the toolkit does.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_models.datasets.made import SPLITS, make_splits
from keras_models.datasets.scenes import KEYS
from keras_models.scenes.world import LEVELS, mujoco_module, pictures
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("render_scenes", __doc__)
flags.out(FLAGS, "Folder of the data set.")
flags.seed(FLAGS, "Of all pictures.")
flags.split_sizes(FLAGS, 5000)
FLAGS.enum(
    "level",
    "plain",
    list(LEVELS),
    "Objects of one color, or textured ones in less light and more noise; mixed: in turn.",
)


def _body() -> None:
    mujoco_module()
    counts = {split: FLAGS[split].value for split in SPLITS}
    levels = LEVELS[FLAGS.level]
    make_splits(
        FLAGS.out, KEYS, counts, lambda split, n: pictures(counts[split], (FLAGS.seed, n), levels)
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Renders as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
