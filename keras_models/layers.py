# SPDX-License-Identifier: Apache-2.0
"""The layers of the ViT that Keras lacks, for Keras 3 (any backend) and for tf_keras.

`layers_for(keras_module)` returns the classes bound to that Keras. Each has `get_config`, so models
can be cloned, saved and annotated by TensorFlow Model Optimization. Weight names, order and shapes
are the same in both. With Keras 3 nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from keras_models.grid_layers import grid_dot_product, pixel_shuffle, windows
from keras_models.positions import waves
from keras_models.token_layers import byte_numbers, numbers_from, token_numbers

PACKAGE = "keras_models"
WIDE = ("float32", "float64")  # types in which sums and logits are computed as they are
QUICK_GELU_SLOPE = 1.702  # MCUFormer eq. 7: GELU(x) ~ x * sigmoid(1.702 x)


@dataclasses.dataclass(frozen=True)
class Layers:
    """Layer classes bound to one Keras module."""

    keras: Any
    LayerNorm: Any
    PositionEmbedding: Any
    ScaledDotProduct: Any
    Activation: Any
    TokenPool: Any
    PatchMerge: Any
    Windows: Any
    GridDotProduct: Any
    PixelShuffle: Any
    ByteNumbers: Any
    TokenNumbers: Any
    NumbersFrom: Any


def is_keras_3(keras_module: Any) -> bool:
    return hasattr(keras_module, "ops")


class TfOps:
    """The part of `keras.ops` that the layers use, in TensorFlow, for tf_keras."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._tf = tf
        self.rsqrt = tf.math.rsqrt
        self.sigmoid = tf.sigmoid
        self.softmax = tf.nn.softmax
        self.reshape = tf.reshape
        self.transpose = tf.transpose
        self.matmul = tf.matmul
        self.concatenate = tf.concat
        self.broadcast_to = tf.broadcast_to
        self.minimum = tf.minimum
        self.maximum = tf.maximum

    def mean_of(self, x: Any, axis: int, keepdims: bool = False) -> Any:
        return self._tf.reduce_mean(x, axis=axis, keepdims=keepdims)

    def split(self, x: Any, parts: int) -> Any:
        return self._tf.split(x, parts, axis=-1)

    def gelu(self, x: Any, approximate: bool) -> Any:
        return self._tf.nn.gelu(x, approximate=approximate)

    def wide(self, x: Any) -> Any:
        """As it is: tf_keras computes in float32 here."""
        return x

    def narrow(self, x: Any, like: Any) -> Any:
        return x

    def take(self, table: Any, rows: Any) -> Any:
        return self._tf.gather(table, rows)

    def whole(self, x: Any) -> Any:
        return self._tf.cast(x, "int32")

    def constant(self, value: Any, like: Any) -> Any:
        return self._tf.constant(value, like.dtype)

    def batch(self, x: Any) -> Any:
        """Batch size: a number where it is static, so that the converter sees a constant."""
        return x.shape[0] if x.shape[0] is not None else self._tf.shape(x)[0]


class Keras3Ops:
    """The same for Keras 3, on whichever backend it runs."""

    def __init__(self, keras_module: Any) -> None:
        ops = keras_module.ops
        self._ops = ops
        self._standardize = keras_module.backend.standardize_dtype
        self.rsqrt = ops.rsqrt
        self.sigmoid = ops.sigmoid
        self.softmax = ops.softmax
        self.reshape = ops.reshape
        self.transpose = ops.transpose
        self.matmul = ops.matmul
        self.concatenate = ops.concatenate
        self.broadcast_to = ops.broadcast_to
        self.minimum = ops.minimum
        self.maximum = ops.maximum

    def mean_of(self, x: Any, axis: int, keepdims: bool = False) -> Any:
        return self._ops.mean(x, axis=axis, keepdims=keepdims)

    def split(self, x: Any, parts: int) -> Any:
        return self._ops.split(x, parts, axis=-1)

    def gelu(self, x: Any, approximate: bool) -> Any:
        return self._ops.gelu(x, approximate=approximate)

    def wide(self, x: Any) -> Any:
        """float32 at least, for sums and exponentials of what is computed in bfloat16."""
        return x if self._type(x) in WIDE else self._ops.cast(x, "float32")

    def narrow(self, x: Any, like: Any) -> Any:
        """Back to another tensor's type."""
        return x if self._type(like) == self._type(x) else self._ops.cast(x, self._type(like))

    def _type(self, x: Any) -> Any:
        return self._standardize(x.dtype)

    def whole(self, x: Any) -> Any:
        """int32 of whole numbers."""
        return self._ops.cast(x, "int32")

    def take(self, table: Any, rows: Any) -> Any:
        """Rows of a table by constant numbers of any shape."""
        return self._ops.take(table, rows, axis=0)

    def constant(self, value: Any, like: Any) -> Any:
        """A NumPy array in another tensor's type."""
        return self._ops.convert_to_tensor(value, dtype=self._type(like))

    def batch(self, x: Any) -> Any:
        return self._ops.shape(x)[0]


def ops_for(keras_module: Any) -> Any:
    """The operations of that Keras under one set of names."""
    return Keras3Ops(keras_module) if is_keras_3(keras_module) else TfOps()


@functools.cache
def layers_for(keras_module: Any) -> Layers:
    """The layer classes for `keras` (Keras 3) or `tf_keras`."""
    ops = ops_for(keras_module)
    scaled_dot_product = _scaled_dot_product(keras_module, ops)
    return Layers(
        keras=keras_module,
        LayerNorm=_layer_norm(keras_module, ops),
        PositionEmbedding=_position_embedding(keras_module, ops),
        ScaledDotProduct=scaled_dot_product,
        Activation=_activation(keras_module, ops),
        TokenPool=_token_pool(keras_module, ops),
        PatchMerge=_patch_merge(keras_module, ops),
        Windows=windows(keras_module, ops, _register(keras_module)),
        GridDotProduct=grid_dot_product(
            scaled_dot_product, keras_module, ops, _register(keras_module)
        ),
        PixelShuffle=pixel_shuffle(keras_module, ops, _register(keras_module)),
        ByteNumbers=byte_numbers(keras_module, ops, _register(keras_module)),
        TokenNumbers=token_numbers(keras_module, ops, _register(keras_module)),
        NumbersFrom=numbers_from(keras_module, ops, _register(keras_module)),
    )


def _register(keras_module: Any) -> Any:
    saving = keras_module.saving if is_keras_3(keras_module) else keras_module.utils
    return saving.register_keras_serializable(package=PACKAGE)


def _layer_norm(keras_module: Any, ops: Any) -> Any:
    @_register(keras_module)
    class LayerNorm(keras_module.layers.Layer):  # type: ignore[misc]
        """Layer normalization over the last axis of (batch, tokens, dim).

        Written as c = x - mean(x); c * rsqrt(mean(c*c) + epsilon) * gamma + beta. The TFLite
        converter makes seven int8 operators of it (MEAN SUB MUL MEAN ADD RSQRT MUL) and folds gamma
        and beta into the next fully connected layer, where Keras 3's own form leaves a float island
        (NEG has no int8 kernel).
        """

        def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.epsilon = epsilon

        def build(self, input_shape: Any) -> None:
            dim = input_shape[-1]
            self.gamma = self.add_weight(name="gamma", shape=(dim,), initializer="ones")
            self.beta = self.add_weight(name="beta", shape=(dim,), initializer="zeros")
            self.built = True

        def call(self, x: Any) -> Any:
            centred = ops.wide(x)
            centred = centred - ops.mean_of(centred, axis=-1, keepdims=True)
            variance = ops.mean_of(centred * centred, axis=-1, keepdims=True)
            normed = ops.narrow(centred * ops.rsqrt(variance + self.epsilon), x)
            return normed * self.gamma + self.beta

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "epsilon": self.epsilon}

    return LayerNorm


def _position_embedding(keras_module: Any, ops: Any) -> Any:
    @_register(keras_module)
    class PositionEmbedding(keras_module.layers.Layer):  # type: ignore[misc]
        """Adds learned positions to (batch, patches, dim), after prepending a class token if asked.

        With `cls_token` the output has one token more than the input, the class token first.
        Positions begin as small noise, or as `waves` of a grid with tokens alone of so many a side.
        """

        def __init__(self, cls_token: bool = False, waves_of: int = 0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.cls_token = cls_token
            self.waves_of = waves_of

        def build(self, input_shape: Any) -> None:
            patches, dim = input_shape[-2], input_shape[-1]
            normal = keras_module.initializers.TruncatedNormal
            if self.cls_token:
                self.cls = self.add_weight(
                    name="cls", shape=(1, 1, dim), initializer=normal(stddev=0.02)
                )
            start = normal(stddev=0.02)
            if self.waves_of:
                start = keras_module.initializers.Constant(waves(self.waves_of, dim))
            self.position = self.add_weight(
                name="position",
                shape=(1, patches + (1 if self.cls_token else 0), dim),
                initializer=start,
            )
            self.built = True

        def call(self, x: Any) -> Any:
            if self.cls_token:
                cls = ops.broadcast_to(self.cls, (ops.batch(x), 1, x.shape[-1]))
                x = ops.concatenate([cls, x], axis=1)
            return x + self.position

        def compute_output_shape(self, input_shape: Any) -> Any:
            batch, patches, dim = input_shape
            return (batch, patches + (1 if self.cls_token else 0), dim)

        def get_config(self) -> dict[str, Any]:
            own = {"cls_token": self.cls_token, "waves_of": self.waves_of}
            return {**super().get_config(), **own}

    return PositionEmbedding


def _scaled_dot_product(keras_module: Any, ops: Any) -> Any:
    @_register(keras_module)
    class ScaledDotProduct(keras_module.layers.Layer):  # type: ignore[misc]
        """softmax(q.k^T / sqrt(head_dim)).v of all heads; no weights.

        Input: one (batch, tokens, 3 * heads * head_dim) tensor, q then k then v, each head after
        head; or a list of three (batch, tokens, heads * head_dim). Output: (batch, tokens,
        heads * head_dim).
        """

        def __init__(self, heads: int, head_dim: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.heads = heads
            self.head_dim = head_dim

        def _by_head(self, x: Any) -> Any:
            x = ops.reshape(x, (-1, x.shape[1], self.heads, self.head_dim))
            return ops.transpose(x, (0, 2, 1, 3))

        def _scores(self, q: Any, k: Any) -> Any:
            """Of scaled queries; (batch, heads, tokens, tokens)."""
            return ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))

        def _context(self, shares: Any, v: Any) -> Any:
            return ops.matmul(shares, v)

        def call(self, inputs: Any) -> Any:
            packed = not isinstance(inputs, list | tuple)
            q, k, v = ops.split(inputs, 3) if packed else inputs
            tokens = q.shape[1]
            q, k, v = self._by_head(q), self._by_head(k), self._by_head(v)
            scores = self._scores(q * self.head_dim**-0.5, k)
            shares = ops.narrow(ops.softmax(ops.wide(scores), axis=-1), v)
            out = ops.transpose(self._context(shares, v), (0, 2, 1, 3))
            return ops.reshape(out, (-1, tokens, self.heads * self.head_dim))

        def compute_output_shape(self, input_shape: Any) -> Any:
            first = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
            return (*first[:-1], self.heads * self.head_dim)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "heads": self.heads, "head_dim": self.head_dim}

    return ScaledDotProduct


def _activation(keras_module: Any, ops: Any) -> Any:
    @_register(keras_module)
    class Activation(keras_module.layers.Layer):  # type: ignore[misc]
        """GELU by name: "gelu" (erf), "gelu_tanh" or "quick_gelu"."""

        def __init__(self, kind: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.kind = kind

        def call(self, x: Any) -> Any:
            if self.kind == "quick_gelu":
                return x * ops.sigmoid(QUICK_GELU_SLOPE * x)
            return ops.gelu(x, approximate=self.kind == "gelu_tanh")

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "kind": self.kind}

    return Activation


def _token_pool(keras_module: Any, ops: Any) -> Any:
    @_register(keras_module)
    class TokenPool(keras_module.layers.Layer):  # type: ignore[misc]
        """(batch, tokens, dim) -> (batch, dim): the mean of the tokens ("mean"), of those behind
        the class token ("patches"), or the class token ("cls")."""

        def __init__(self, pool: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.pool = pool

        def call(self, x: Any) -> Any:
            if self.pool == "cls":
                return x[:, 0]
            return ops.mean_of(x[:, 1:] if self.pool == "patches" else x, axis=1)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (input_shape[0], input_shape[2])

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "pool": self.pool}

    return TokenPool


def _patch_merge(keras_module: Any, ops: Any) -> Any:
    @_register(keras_module)
    class PatchMerge(keras_module.layers.Layer):  # type: ignore[misc]
        """Tokens or pixels of a grid -> the channels of stride x stride neighbours side by side.

        (batch, side, side, dim) or (batch, side * side, dim) -> (batch, (side / stride)**2,
        stride**2 * dim): row after row of the neighbours, from the left to the right, as Swin's
        for a map whose rows are its columns.
        """

        def __init__(self, side: int, stride: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.side = side
            self.stride = stride

        def call(self, x: Any) -> Any:
            side, stride, dim = self.side // self.stride, self.stride, x.shape[-1]
            # Neighbours of one row are side by side already, so that four dimensions are enough.
            x = ops.reshape(x, (-1, stride, side, stride * dim))
            x = ops.transpose(x, (0, 2, 1, 3))
            return ops.reshape(x, (-1, side * side, stride * stride * dim))

        def compute_output_shape(self, input_shape: Any) -> Any:
            tokens = (self.side // self.stride) ** 2
            return (input_shape[0], tokens, self.stride**2 * input_shape[-1])

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "side": self.side, "stride": self.stride}

    return PatchMerge
