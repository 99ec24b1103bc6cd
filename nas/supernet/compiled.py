# SPDX-License-Identifier: Apache-2.0
"""Compiled steps of a supernet: training and evaluation, one compilation per form.

Keras' own `fit` compiles one function per model; here the sub-network changes with every step while
the function stays. Backend-specific code of the package is in this file and
`nas.supernet.distribution`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_models.training.distillation import Objective
from nas.space.any_space import AnySubnet
from nas.supernet.conv_blocks import Statistics
from nas.supernet.distribution import Distribution
from nas.supernet.masks import Masks, stack_masks
from nas.supernet.shared import Floats, SharedWeights

Loss = Callable[[Any, Any], Any]
CALIBRATION_BATCH = 128


def _constants(arrays: Any) -> Any:
    import tensorflow as tf

    return {name: tf.constant(value) for name, value in arrays.items()}


def _each(masks: Any, count: int) -> list[Masks]:
    return [{name: value[i] for name, value in masks.items()} for i in range(count)]


class Steps:
    """Training and evaluation of one supernet.

    Attributes:
      calibration: images on which the batch statistics of a sub-network are measured, where its
        supernet keeps none (`SharedWeights.needs_statistics`).
      compilations: (kind, form) of every function that was traced, in order. Its length is what
        "one compiled step per token count" means.
    """

    def __init__(
        self,
        supernet: SharedWeights,
        optimizer: Any = None,
        objective: Any = None,
        distribution: Distribution | None = None,
        calibration: Floats | None = None,
    ) -> None:
        self.net = supernet
        self.calibration = calibration
        self._measured: tuple[AnySubnet, Statistics] | None = None
        self.distribution = distribution or Distribution()
        self.optimizer = optimizer
        self.objective = objective or Objective()
        self.compilations: list[tuple[str, Any]] = []
        self._train: dict[tuple[Any, int, bool], Any] = {}
        self._logits: dict[Any, Any] = {}
        self._statistics: dict[Any, Any] = {}
        if optimizer is not None:
            with self.distribution.scope():
                optimizer.build(supernet.trainable_variables)
            self.distribution.prepare(optimizer)

    def train(
        self, images: Floats, labels: Floats, configs: list[AnySubnet], teacher: Any = None
    ) -> float:
        """One optimizer step on sub-networks that share a form.

        Args:
          images, labels: float32 (batch, size, size, channels) in [-1, 1], (batch, classes); the
            whole batch, of which each replica takes its share.
          configs: sub-networks; the first one teaches the others, if the objective says so.
          teacher: logits of another network on the images, or None.

        Returns:
          The loss.
        """
        form, count = configs[0].form, len(configs)
        if any(c.form != form for c in configs):
            raise ValueError("a step's sub-networks: got several forms, expected one")
        key = (form, count, teacher is not None)
        if key not in self._train:
            self._train[key] = self._compile_train(form, count)
        self._measured = None  # weights change
        masks = stack_masks([self.net.masks(c) for c in configs])
        return float(self._train[key](images, labels, masks, teacher))

    def logits(self, images: Floats, config: AnySubnet) -> NDArray[np.float32]:
        """Logits of a sub-network for inference."""
        if config.form not in self._logits:
            self._logits[config.form] = self._compile_logits(config.form)
        statistics = self._known_statistics(config)
        found = self._logits[config.form](images, self.net.masks(config), statistics)
        return np.asarray(ops.convert_to_numpy(found))

    def statistics(self, config: AnySubnet) -> Statistics:
        """Batch statistics of a sub-network over the calibration images, batch after batch; empty
        where the supernet keeps its own.

        Raises:
          ValueError: there are no calibration images.
        """
        if not self.net.needs_statistics:
            return {}
        if self.calibration is None:
            raise ValueError(f"{self.net.space.name}: expected calibration images")
        if config.form not in self._statistics:
            self._statistics[config.form] = self._compile_statistics(config.form)
        measure, masks = self._statistics[config.form], self.net.masks(config)
        count = max(1, len(self.calibration) // CALIBRATION_BATCH)
        parts = [measure(part, masks) for part in np.array_split(self.calibration, count)]
        found = {}
        for name in parts[0]:
            each = np.stack([np.asarray(ops.convert_to_numpy(p[name])) for p in parts])
            mean, square = each[:, 0].mean(0), (each[:, 1] + each[:, 0] ** 2).mean(0)
            found[name] = np.stack([mean, square - mean**2]).astype(np.float32)
        return found

    def _known_statistics(self, config: AnySubnet) -> Statistics:
        """Those of the sub-network that was asked for last are kept until a training step."""
        if self._measured is None or self._measured[0] != config:
            self._measured = (config, self.statistics(config))
        return self._measured[1]

    def accuracy(
        self, images: Floats, labels: NDArray[np.integer[Any]], config: AnySubnet, batch: int
    ) -> float:
        """Top-1 accuracy 0..1; the last batch is filled up, so that its shape is the others'."""
        right, self._measured = 0, None  # weights may have been exchanged
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            found = self.logits(filled, config)[: len(part)]
            right += int((found.argmax(-1) == labels[start : start + batch]).sum())
        return right / len(images)

    # ---- backends ------------------------------------------------------------------------------

    def _loss(self, form: Any, count: int, images: Any, labels: Any, masks: Any, teacher: Any,
              run: Any) -> Any:  # fmt: skip
        logits = [run(images, each) for each in _each(masks, count)]
        return self.objective(logits, labels, teacher)

    def _compile_train(self, form: Any, count: int) -> Any:
        backend = keras.backend.backend()
        if backend == "tensorflow":
            return self._train_tensorflow(form, count)
        if backend == "jax":
            return self._train_jax(form, count)
        raise ValueError(f"KERAS_BACKEND: got {backend!r}, expected tensorflow or jax")

    def _compile_logits(self, form: Any) -> Any:
        net = self.net

        def given(statistics: Any) -> dict[str, Any]:
            return {"statistics": statistics} if net.needs_statistics else {}

        if keras.backend.backend() == "jax":
            import jax

            def stateless(
                trainable: Any, other: Any, images: Any, masks: Any, statistics: Any
            ) -> Any:
                self.compilations.append(("logits", form))
                return net.stateless_call(
                    trainable, other, images, masks=masks, form=form, **given(statistics)
                )[0]

            compiled = jax.jit(stateless)

            def run(images: Any, masks: Any, statistics: Any) -> Any:
                trainable = [v.value for v in net.trainable_variables]
                other = [v.value for v in net.non_trainable_variables]
                return compiled(trainable, other, images, masks, statistics)

            return run
        import tensorflow as tf

        def traced(images: Any, masks: Any, statistics: Any) -> Any:
            self.compilations.append(("logits", form))
            return net(images, masks=masks, form=form, **given(statistics))

        function = tf.function(traced, reduce_retracing=True, autograph=False)
        return lambda images, masks, statistics: function(
            tf.constant(images), _constants(masks), _constants(statistics)
        )

    def _compile_statistics(self, form: Any) -> Any:
        net: Any = self.net
        if keras.backend.backend() == "jax":
            return lambda images, masks: net.statistics(images, masks, form)  # seldom: not compiled
        import tensorflow as tf

        def traced(images: Any, masks: Any) -> Any:
            self.compilations.append(("statistics", form))
            return net.statistics(images, masks, form)

        function = tf.function(traced, reduce_retracing=True, autograph=False)
        return lambda images, masks: function(tf.constant(images), _constants(masks))

    def _train_tensorflow(self, form: Any, count: int) -> Any:
        import tensorflow as tf

        net, optimizer, distribution = self.net, self.optimizer, self.distribution

        def replica(images: Any, labels: Any, masks: Any, teacher: Any) -> Any:
            def run(x: Any, each: Any) -> Any:
                return net(x, masks=each, form=form, training=True)

            variables = net.trainable_variables
            with tf.GradientTape() as tape:
                loss = self._loss(form, count, images, labels, masks, teacher, run)
            # Zeros for weights of other stems: the optimizer sees the same list every step.
            gradients = tape.gradient(
                loss, [v.value for v in variables],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )  # fmt: skip
            loss, *gradients = distribution.mean([loss, *gradients])
            optimizer.apply(gradients, variables)
            return loss

        def traced(images: Any, labels: Any, masks: Any, teacher: Any) -> Any:
            self.compilations.append(("train", form))
            return distribution.run(replica, (images, labels, masks, teacher))

        # No control flow depends on a tensor: there is nothing to convert, which takes seconds.
        function = tf.function(traced, autograph=False)

        def step(images: Any, labels: Any, masks: Any, teacher: Any) -> Any:
            masks = _constants(masks)
            share = distribution.share
            loss = function(share(images), share(labels), masks, share(teacher))
            return distribution.local(loss)

        return step

    def _train_jax(self, form: Any, count: int) -> Any:
        import jax

        net, optimizer = self.net, self.optimizer

        def loss_of(trainable: Any, other: Any, images: Any, labels: Any, masks: Any,
                    teacher: Any) -> Any:  # fmt: skip
            state = {"other": other}

            def run(x: Any, each: Any) -> Any:
                logits, state["other"] = net.stateless_call(
                    trainable, state["other"], x, masks=each, form=form, training=True
                )
                return logits

            loss = self._loss(form, count, images, labels, masks, teacher, run)
            return loss, state["other"]

        @jax.jit  # type: ignore[untyped-decorator]
        def compiled(trainable: Any, other: Any, slots: Any, images: Any, labels: Any,
                     masks: Any, teacher: Any) -> Any:  # fmt: skip
            self.compilations.append(("train", form))
            (loss, other), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                trainable, other, images, labels, masks, teacher
            )
            trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
            return loss, trainable, other, slots

        def step(images: Any, labels: Any, masks: Any, teacher: Any) -> Any:
            groups = (net.trainable_variables, net.non_trainable_variables, optimizer.variables)
            values = [[v.value for v in group] for group in groups]
            loss, *new = compiled(*values, images, labels, masks, teacher)
            for group, found in zip(groups, new, strict=True):
                for variable, value in zip(group, found, strict=True):
                    variable.assign(value)
            return loss

        return step
