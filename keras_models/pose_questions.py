# SPDX-License-Identifier: Apache-2.0
"""Makes the data set of questions: `python -m keras_models.pose_questions --out=DIR`.

Writes train.npz, validation.npz and test.npz: pictures of 48x48 with six shapes of six colors, and
of each some questions with their answers, which follow from --seed. --fewest makes training
pictures with fewer shapes, too, whose relations are learnt first.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_models.datasets.core import DatasetError
from keras_models.datasets.made import SPLITS, make_splits
from keras_models.datasets.questions import KEYS
from keras_models.questions.asking import COLORS, KINDS, QUESTIONS, numbers_of_kinds
from keras_models.questions.shapes import posed
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("pose_questions", __doc__)
flags.out(FLAGS, "Folder of the data set.")
FLAGS.integer("per_picture", 2, "Questions about each picture.", 1, len(QUESTIONS))
_KINDS = ", ".join(kind.name for kind in KINDS)
FLAGS.words("kinds", [], f"Of the questions: some of {_KINDS}; without it all.")
FLAGS.integer("fewest", len(COLORS), "Things in a picture of the training split.", 2, len(COLORS))
flags.seed(FLAGS, "Of all pictures.")
flags.split_sizes(FLAGS, 16000)


def _among() -> list[int]:
    """The questions that are posed.

    Raises:
      DatasetError: there is no such kind, or there are too few for each picture.
    """
    try:
        among = numbers_of_kinds(FLAGS.kinds)
    except ValueError as error:
        raise DatasetError(f"--kinds: {error}") from error
    most = len(among) * FLAGS.fewest // len(COLORS)
    if FLAGS.per_picture > most:
        raise DatasetError(
            f"--per_picture={FLAGS.per_picture}: there are {most} questions: give fewer"
        )
    return among


def _body() -> None:
    among, counts = _among(), {split: FLAGS[split].value for split in SPLITS}
    fewest = dict.fromkeys(SPLITS, len(COLORS)) | {"train": FLAGS.fewest}
    make_splits(
        FLAGS.out,
        KEYS,
        counts,
        lambda split, n: posed(
            counts[split], FLAGS.per_picture, (FLAGS.seed, n), among, fewest[split]
        ),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Makes it as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
