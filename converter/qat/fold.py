# SPDX-License-Identifier: Apache-2.0
"""Merges what a converter merges anyway into the linear layers: the same function, fewer weights.

A LayerNorm's gamma and beta go into the layer behind it, a batch normalization into the convolution
before it, and `MultiHeadAttention`'s heads into plain matrices. Training then rounds the weights
that the int8 file holds, and not factors of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.staged import Architecture, StagedConfig
from keras_models.staged_model import DEPTHWISE, normalized_convolutions
from keras_models.vit import weight_name

Floats = NDArray[np.float32]
_BATCH_NORM_EPSILON = 1e-3  # Keras' default, which the builder uses


@dataclasses.dataclass(frozen=True, eq=False)
class Folded:
    """A network without batch normalization, gamma or beta.

    Attributes:
      arch: of the folded network: no batch_norm, attention "packed" or "separate", norm "clean".
      weights: layer/weight -> float32, gammas 1 and betas 0.
    """

    arch: Architecture
    weights: dict[str, Floats]


def fold(model: Any, arch: Architecture) -> Folded:
    """Folds a float model of `arch` (Keras 3 or tf_keras)."""
    weights = {
        weight_name(w): np.asarray(v, np.float32)
        for w, v in zip(model.weights, model.get_weights(), strict=True)
    }
    if arch.attention == "keras":
        for index in arch.transformer_blocks:
            _split_heads(weights, f"block{index}")
    for name in _normalized(arch):
        _fold_batch_norm(weights, name)
    packed = arch.attention == "packed"
    for index, block in arch.transformer_blocks.items():
        name, ranks = f"block{index}", block.ranks
        for part in ("qkv",) if packed else ("q", "k", "v"):
            _scale_inputs(weights, f"{name}_norm1", f"{name}_{part}", ranks.qkv)
        _scale_inputs(weights, f"{name}_norm2", f"{name}_fc1", ranks.fc1)
    if "norm/gamma" in weights:  # a network that ends in convolutions has none
        _scale_inputs(weights, "norm", "head", 0)
    for key in weights:
        if key.endswith("/gamma"):
            weights[key] = np.ones_like(weights[key])
        elif key.endswith("/beta"):
            weights[key] = np.zeros_like(weights[key])
    return Folded(_without_norms(arch), weights)


def _normalized(arch: Architecture) -> list[str]:
    """Convolutions with a batch normalization."""
    names = [f"stem{i}" for i, layer in enumerate(arch.stem) if layer.batch_norm]
    return [*names, *normalized_convolutions(arch)] if isinstance(arch, StagedConfig) else names


def _without_norms(arch: Architecture) -> Architecture:
    changes: dict[str, Any] = {
        "stem": tuple(dataclasses.replace(layer, batch_norm=False) for layer in arch.stem),
        "attention": "packed" if arch.attention == "packed" else "separate",
        "norm": "clean",
    }
    if isinstance(arch, StagedConfig):
        changes["stages"] = tuple(stage.without_batch_norm() for stage in arch.stages)
    return arch.replace(**changes)


def _scale_inputs(weights: dict[str, Floats], norm: str, layer: str, rank: int) -> None:
    """(n * gamma + beta) W + b = n (gamma W) + (beta W + b)."""
    gamma, beta = weights[f"{norm}/gamma"], weights[f"{norm}/beta"]
    first, last = (f"{layer}_a", f"{layer}_b") if rank else (layer, layer)
    shift = beta @ weights[f"{first}/kernel"]
    if rank:
        shift = shift @ weights[f"{last}/kernel"]
    weights[f"{last}/bias"] = weights[f"{last}/bias"] + shift
    weights[f"{first}/kernel"] = gamma[:, None] * weights[f"{first}/kernel"]


def _fold_batch_norm(weights: dict[str, Floats], name: str) -> None:
    mean, variance = (weights.pop(f"{name}_bn/moving_{part}") for part in ("mean", "variance"))
    gamma, beta = weights.pop(f"{name}_bn/gamma"), weights.pop(f"{name}_bn/beta")
    factor = gamma / np.sqrt(variance + _BATCH_NORM_EPSILON)
    kernel = weights[f"{name}_conv/kernel"]
    depthwise = f"{name}_conv".endswith(DEPTHWISE)  # (height, width, channels, 1)
    weights[f"{name}_conv/kernel"] = kernel * (factor[:, None] if depthwise else factor)
    weights[f"{name}_conv/bias"] = beta - mean * factor


def _split_heads(weights: dict[str, Floats], name: str) -> None:
    """(dim, heads, head_dim) kernels of `MultiHeadAttention` as (dim, heads * head_dim)."""
    for part, new in (("query", "q"), ("key", "k"), ("value", "v")):
        kernel = weights.pop(f"{name}_attention/{part}/kernel")
        weights[f"{name}_{new}/kernel"] = kernel.reshape(kernel.shape[0], -1)
        weights[f"{name}_{new}/bias"] = weights.pop(f"{name}_attention/{part}/bias").reshape(-1)
    kernel = weights.pop(f"{name}_attention/attention_output/kernel")
    weights[f"{name}_proj/kernel"] = kernel.reshape(-1, kernel.shape[-1])
    weights[f"{name}_proj/bias"] = weights.pop(f"{name}_attention/attention_output/bias")
