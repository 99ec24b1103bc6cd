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
from nas.supernet.distribution import Distribution
from nas.supernet.masks import Masks, stack_masks
from nas.supernet.net import Floats, Supernet

Loss = Callable[[Any, Any], Any]


def _each(masks: Any, count: int) -> list[Masks]:
    return [{name: value[i] for name, value in masks.items()} for i in range(count)]


class Steps:
    """Training and evaluation of one supernet.

    Attributes:
      compilations: (kind, form) of every function that was traced, in order. Its length is what
        "one compiled step per token count" means.
    """

    def __init__(
        self,
        supernet: Supernet,
        optimizer: Any = None,
        objective: Any = None,
        distribution: Distribution | None = None,
    ) -> None:
        self.net = supernet
        self.distribution = distribution or Distribution()
        self.optimizer = optimizer
        self.objective = objective or Objective()
        self.compilations: list[tuple[str, Any]] = []
        self._train: dict[tuple[Any, int, bool], Any] = {}
        self._logits: dict[Any, Any] = {}
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
        masks = stack_masks([self.net.masks(c) for c in configs])
        return float(self._train[key](images, labels, masks, teacher))

    def logits(self, images: Floats, config: AnySubnet) -> NDArray[np.float32]:
        """Logits of a sub-network for inference."""
        if config.form not in self._logits:
            self._logits[config.form] = self._compile_logits(config.form)
        found = self._logits[config.form](images, self.net.masks(config))
        return np.asarray(ops.convert_to_numpy(found))

    def accuracy(
        self, images: Floats, labels: NDArray[np.integer[Any]], config: AnySubnet, batch: int
    ) -> float:
        """Top-1 accuracy 0..1; the last batch is filled up, so that its shape is the others'."""
        right = 0
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
        if keras.backend.backend() == "jax":
            import jax

            def stateless(trainable: Any, other: Any, images: Any, masks: Any) -> Any:
                self.compilations.append(("logits", form))
                return net.stateless_call(trainable, other, images, masks=masks, form=form)[0]

            compiled = jax.jit(stateless)

            def run(images: Any, masks: Any) -> Any:
                trainable = [v.value for v in net.trainable_variables]
                other = [v.value for v in net.non_trainable_variables]
                return compiled(trainable, other, images, masks)

            return run
        import tensorflow as tf

        def traced(images: Any, masks: Any) -> Any:
            self.compilations.append(("logits", form))
            return net(images, masks=masks, form=form)

        function = tf.function(traced, reduce_retracing=True, autograph=False)
        return lambda images, masks: function(
            tf.constant(images), {name: tf.constant(m) for name, m in masks.items()}
        )

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
            masks = {name: tf.constant(m) for name, m in masks.items()}
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
