# SPDX-License-Identifier: Apache-2.0
"""Composes the data set of detection: `python -m keras_models.compose_canvases --out=DIR`.

Writes train.npz, validation.npz and test.npz: pictures of 96x96 with one to four garments, and
their boxes, which follow from --seed. The garments are those of Fashion-MNIST, real pictures
(Debian's dataset-fashion-mnist); its test pictures are in the test split only, and of its training
pictures the last tenth in validation only.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_models.canvases.composition import Items, canvases
from keras_models.canvases.idx import read_items
from keras_models.datasets.canvases import KEYS
from keras_models.datasets.made import SPLITS, make_splits
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("compose_canvases", __doc__)
flags.out(FLAGS, "Folder of the data set.")
FLAGS.string(
    "items", "/usr/share/datasets/fashion-mnist", "Folder of Fashion-MNIST's four IDX files."
)
flags.seed(FLAGS, "Of all pictures.")
flags.split_sizes(FLAGS, 8000)
_VALIDATION_SHARE = 10  # a tenth


def _items(split: str) -> Items:
    images, labels = read_items(FLAGS.items, "test" if split == "test" else "train")
    if split == "test":
        return images, labels
    kept = len(images) - len(images) // _VALIDATION_SHARE
    part = slice(kept) if split == "train" else slice(kept, None)
    return images[part], labels[part]


def _body() -> None:
    items = {split: _items(split) for split in SPLITS}
    counts = {split: FLAGS[split].value for split in SPLITS}
    make_splits(
        FLAGS.out,
        KEYS,
        counts,
        lambda split, n: canvases(items[split], counts[split], (FLAGS.seed, n)),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Composes as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
