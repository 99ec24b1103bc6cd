# SPDX-License-Identifier: Apache-2.0
"""Training recipes as data.

The default is DeiT's (Touvron et al., ICML 2021), which MCUFormer uses too: AdamW with weight decay
0.05, warm-up and cosine decay, RandAugment, mixup 0.8, cutmix 1.0, label smoothing 0.1, random
erasing 0.25, drop path 0.1. Small data sets want less of it; each preset names its own.
"""

from __future__ import annotations

import dataclasses
from typing import Any


class RecipeError(ValueError):
    """A recipe's field is wrong; the message names it, its value and what is expected."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. Rates and probabilities are 0..1; 0 switches a part off.

    Attributes:
      epochs, warmup_epochs: passes over the training split; the rate rises linearly in warm-up.
      batch_size: images per step; the last incomplete batch of an epoch is left out.
      optimizer: "adamw", or "muon": kernels move by orthogonal matrices, all else by AdamW.
      learning_rate, min_learning_rate: peak and end of the cosine.
      weight_decay: of both; biases, norms, positions and the class token are exempt.
      beta_2: AdamW's decay of the mean of squared gradients.
      clip_norm: global gradient norm, 0 for none.
      label_smoothing, drop_path: regularization.
      ema_momentum: exponential moving average of the weights, evaluated and saved instead of them;
        0 for none.
      flip: mirror half of the images.
      translation, rotation, zoom: largest shift (of the side), turn (of a full turn), scale change.
      translation_fill: what comes in at the edge: "zero" (black) or "reflect".
      randaugment_ops, randaugment_factor: operations per image and their strength.
      random_erasing: probability of erasing 2 % to 33 % of an image; of a text of sub-words that
        of each token to become unknown.
      cutout: side in pixels of a grey square in every image, 0 for none.
      mixup, cutmix: Beta parameters; with both, each batch gets one of them.
      mix_probability: share of the batches that are mixed at all.
    """

    epochs: int = 300
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-5
    warmup_epochs: int = 5
    weight_decay: float = 0.05
    beta_2: float = 0.999
    clip_norm: float = 1.0
    label_smoothing: float = 0.1
    drop_path: float = 0.1
    ema_momentum: float = 0.999
    flip: bool = True
    translation: float = 0.125
    translation_fill: str = "zero"
    rotation: float = 0.0
    zoom: float = 0.0
    randaugment_ops: int = 2
    randaugment_factor: float = 0.1
    random_erasing: float = 0.25
    cutout: int = 0
    mixup: float = 0.8
    cutmix: float = 1.0
    mix_probability: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            self._check(name, int, 1, 1_000_000)
        for name in ("warmup_epochs", "randaugment_ops", "cutout"):
            self._check(name, int, 0, 1_000_000)
        for name in ("learning_rate", "min_learning_rate", "clip_norm", "mixup", "cutmix"):
            self._check(name, float, 0.0, 1000.0)
        for name in _FRACTIONS:
            self._check(name, float, 0.0, 1.0)
        self._check("flip", bool, False, True)
        for name, known in (("translation_fill", FILLS), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise RecipeError(
                    f"Recipe.{name}: got {getattr(self, name)!r}, expected one of "
                    f"{', '.join(known)}"
                )

    def tree(self) -> dict[str, Any]:
        """As JSON. AdamW is left out: set-ups of before there was another one stay the same."""
        found = dataclasses.asdict(self)
        if self.optimizer == OPTIMIZERS[0]:
            del found["optimizer"]
        return found

    def _check(self, name: str, kind: type, low: float, high: float) -> None:
        value = getattr(self, name)
        good = isinstance(value, int | float) if kind is float else type(value) is kind
        if not good or not low <= value <= high:
            raise RecipeError(
                f"Recipe.{name}: got {value!r}, expected {kind.__name__} from {low} to {high}"
            )


FILLS = ("zero", "reflect")
OPTIMIZERS = ("adamw", "muon")

_FRACTIONS = (
    "weight_decay",
    "beta_2",
    "label_smoothing",
    "drop_path",
    "ema_momentum",
    "translation",
    "rotation",
    "zoom",
    "randaugment_factor",
    "random_erasing",
    "mix_probability",
)

# 8x8 grey digits are centred and tiny: turning or scaling them interpolates strokes of one pixel
# and costs accuracy (cross-validation: 95.5 % with, 98.2 % without). Mixing helps. A digit mirrored
# or erased is another digit.
DIGITS = Recipe(
    epochs=80,
    batch_size=64,
    learning_rate=3e-3,
    warmup_epochs=5,
    drop_path=0.0,
    ema_momentum=0.98,
    flip=False,
    translation=0.08,
    randaugment_ops=0,
    random_erasing=0.0,
    mixup=0.8,
    cutmix=0.0,
)

# CIFAR-10 on a GPU; on a CPU give fewer --epochs.
CIFAR = Recipe(epochs=300, batch_size=128, drop_path=0.05, mixup=0.2, mix_probability=0.8)

# Convolutions first need little augmentation in so few epochs: at 27 of 45 the training accuracy
# passes that of the test images.
HYBRID = Recipe(
    epochs=45,
    batch_size=128,
    learning_rate=2e-3,
    min_learning_rate=0.0,
    warmup_epochs=2,
    beta_2=0.99,
    drop_path=0.0,
    translation_fill="reflect",
    randaugment_ops=0,
    random_erasing=0.0,
    cutout=9,
    mixup=0.0,
    cutmix=0.0,
)

# Rendered scenes: each picture is another one, and what moves it would move its targets.
SCENES = Recipe(
    epochs=20,
    batch_size=32,
    learning_rate=2e-3,
    warmup_epochs=1,
    label_smoothing=0.0,
    drop_path=0.0,
    ema_momentum=0.99,
    translation=0.0,
    randaugment_ops=0,
    random_erasing=0.0,
    mixup=0.0,
    cutmix=0.0,
)

# Spectrograms: a mirrored or shifted word is another one; mixing two is noise that is not drawn.
SPEECH = dataclasses.replace(
    SCENES, epochs=30, batch_size=64, warmup_epochs=2, label_smoothing=0.1, flip=False, mixup=0.2
)

# Texts: nothing can be moved or mixed.
TEXTS = dataclasses.replace(SPEECH, epochs=20, warmup_epochs=1, learning_rate=3e-3, mixup=0.0)

# Sub-words: of the rare ones there are few in so small a corpus, so that words are left out.
PIECES = dataclasses.replace(TEXTS, epochs=10, learning_rate=2e-3, random_erasing=0.35)

# Questions: a mirrored or moved picture has other answers; there are enough of them.
QUESTIONS = dataclasses.replace(
    SCENES, epochs=6, batch_size=64, beta_2=0.99, weight_decay=0.01, flip=False
)

_BY_RECIPE = (
    (DIGITS, ("vit_digits",)),
    (CIFAR, ("vit_micro_32",)),
    (HYBRID, ("hybrid_32", "hybrid_32_wide")),
    (SCENES, tuple(f"{task}_{kind}96" for task in ("depth", "segmentation", "detection",
                                                 "scene_detection")
                   for kind in ("", "cnn_"))),
    (SPEECH, ("keywords_40", "keywords_stem_40", "keywords_cnn_40", "keywords_searched_40")),
    (QUESTIONS, ("question_48", "question_cnn_48")),
    (TEXTS, ("language_36", "language_cnn_36", "topic_144", "topic_cnn_144")),
    (PIECES, ("topic_pieces_36", "topic_pieces_cnn_36", "language_pieces_16",
              "language_pieces_cnn_16")),
)  # fmt: skip
RECIPES: dict[str, Recipe] = {name: recipe for recipe, names in _BY_RECIPE for name in names}


# Of networks without a preset's name: a mirrored digit, word or text is another one.
RECIPES_OF_DATA: dict[str, Recipe] = {
    "digits": DIGITS,
    "spoken_digits": SPEECH,
    "page_languages": TEXTS,
    "definition_topics": TEXTS,
    "definition_pieces": PIECES,
    "page_pieces": PIECES,
    "shape_questions": QUESTIONS,
}


def recipe_for(preset: str, dataset: str = "", **changes: Any) -> Recipe:
    """The preset's recipe, else the data set's, else DeiT's, with some fields changed."""
    recipe = RECIPES.get(preset) or RECIPES_OF_DATA.get(dataset) or Recipe()
    return dataclasses.replace(recipe, **changes)


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """ "field=value" pairs, as `--set` gives them, with values of the field's type.

    Raises:
      RecipeError: no such field, or a value of the wrong type.
    """
    kinds = {
        field.name: type(getattr(Recipe(), field.name)) for field in dataclasses.fields(Recipe)
    }
    out: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or name not in kinds:
            raise RecipeError(
                f"--set={pair}: expected FIELD=VALUE, FIELD one of {', '.join(kinds)}"
            )
        out[name] = _parse_value(pair, kinds[name], text)
    return out


def _parse_value(pair: str, kind: type, text: str) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise RecipeError(f"--set={pair}: expected true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError as error:
        raise RecipeError(f"--set={pair}: expected a value of type {kind.__name__}") from error
