# SPDX-License-Identifier: Apache-2.0
"""The optimizer of a recipe, for a network and for a supernet."""

from __future__ import annotations

from typing import Any

from keras_models.training.recipe import Recipe


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> Any:
    """The recipe's optimizer, warm-up, cosine decay, and an average of the weights if it has one.

    Biases, norms, positions and the class token are exempt from weight decay.
    """
    import keras

    steps = max(1, recipe.epochs * steps_per_epoch)
    warmup = min(recipe.warmup_epochs * steps_per_epoch, steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.min_learning_rate if warmup else recipe.learning_rate,
        decay_steps=max(1, steps - warmup),
        alpha=min(1.0, recipe.min_learning_rate / max(recipe.learning_rate, 1e-12)),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    average: dict[str, Any] = {}
    if recipe.ema_momentum:
        average = {"use_ema": True, "ema_momentum": recipe.ema_momentum}
    optimizer = _class_of(recipe.optimizer)(
        schedule,
        weight_decay=recipe.weight_decay,
        beta_2=recipe.beta_2,
        global_clipnorm=recipe.clip_norm or None,
        **average,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "position", "cls"])
    return optimizer


def _class_of(name: str) -> Any:
    if name == "muon":
        from keras_models.training.muon import Muon

        return Muon
    import keras

    return keras.optimizers.AdamW
