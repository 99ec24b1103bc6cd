# SPDX-License-Identifier: Apache-2.0
"""Fills a supernet from a trained plain model, low-rank pairs by singular value decomposition.

Block by block, each linear layer W (the product of a pair, if the model has pairs) is put into the
leading rows and columns of the supernet's matrix, which is then split into A.B with the leading
singular directions first. With the supernet's full rank the product is W again; a smaller rank is
the best approximation of that rank. q, k and v are moved as thirds, so that heads stay in order.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_models.arch import ArchConfig
from keras_models.vit import weight_name
from nas.space.any_space import expect_one_stage
from nas.supernet import resize
from nas.supernet.files import load_supernet
from nas.supernet.inherit import inherit
from nas.supernet.initial import expect_network, initial_network, is_supernet
from nas.supernet.layout import PARTS, Sizes, places
from nas.supernet.net import Supernet, split_pair
from nas.supernet.shared import Floats, SharedWeights
from nas.supernet.staged_inherit import inherit_stages
from nas.supernet.staged_net import StagedSupernet


def init_from(supernet: Supernet, arch: ArchConfig, model: Any) -> None:
    """Overwrites the leading part of the supernet with a trained model.

    Args:
      supernet: built.
      arch: of the model. Its patch embedding must be one of the space; width, depth, heads and
        hidden units may be smaller than the supernet's, whose other weights stay.
      model: `build_vit(arch)` with trained weights.

    Raises:
      SpaceError: the model does not fit in; the message says where.
    """
    _Transfer(supernet, arch, model).run()


class _Transfer:
    def __init__(self, supernet: Supernet, arch: ArchConfig, model: Any) -> None:
        self.net, self.arch = supernet, arch
        self.given: dict[str, Floats] = {
            "/".join(weight_name(w).split("/")[-2:]): np.asarray(ops.convert_to_numpy(w))
            for w in model.weights
        }
        expect_network(arch, supernet.space, supernet.widths)
        fits = (arch.patch_size, arch.stem)
        self.patch = next(p for p in supernet.space.patches if (p.size, p.stem) == fits)

    def run(self) -> None:
        self._patch_embedding()
        for b in range(self.arch.depth):
            for norm in ("norm1", "norm2"):
                self._leading(f"block{b}_{norm}/gamma")
                self._leading(f"block{b}_{norm}/beta")
            for part in PARTS:
                self._linear(b, part)
            if self.arch.relative_position:
                self._leading(f"block{b}_sdpa/position_keys")
                self._leading(f"block{b}_sdpa/position_values")
        for name in ("norm/gamma", "norm/beta", "head/kernel", "head/bias"):
            self._leading(name)

    def _put(self, name: str, value: Floats) -> None:
        self.net.table[name].assign(value)

    def _leading(self, name: str) -> None:
        value, given = self.net.values(name).copy(), self.given[name]
        value[tuple(slice(n) for n in given.shape)] = given
        self._put(name, value)

    def _patch_embedding(self) -> None:
        net, dim, patch = self.net, self.arch.embed_dim, self.patch
        prefix = net.stem_names[patch.stem]
        for layer in net.stems[patch.stem]:
            for weight in layer.weights:
                name = f"{layer.name.removeprefix(f'{prefix}_')}/{weight.path.split('/')[-1]}"
                weight.assign(self.given[name])
        stored = net.stored_patch[patch.stem]
        kernel = net.values(f"{prefix}_patch/kernel").copy()
        given: Floats = self.given["patch/kernel"].reshape(patch.size**2, -1)
        if stored != patch.size:  # the kernel of least norm that resizes to the given one
            smaller = resize.kernel_matrix(patch.size, stored)
            given = np.asarray(np.linalg.pinv(smaller) @ given, np.float32)
        channels = self.arch.patch_input_channels
        kernel[:, :dim] = given.reshape(stored**2 * channels, dim)
        self._put(f"{prefix}_patch/kernel", kernel)
        bias = net.values(f"{prefix}_patch/bias").copy()
        bias[:dim] = self.given["patch/bias"]
        self._put(f"{prefix}_patch/bias", bias)
        self._positions()

    def _positions(self) -> None:
        net, dim = self.net, self.arch.embed_dim
        given = self.given["embedding/position"][0]
        if self.arch.class_token:
            self._leading("embedding/cls")
            value = net.values("cls_position").copy()
            value[0, 0, :dim] = given[0]
            self._put("cls_position", value)
            given = given[1:]
        value = net.values("embedding/position").copy()
        value[:, :dim] = resize.position_enlarging_matrix(self.arch.grid, net.stored_grid) @ given
        self._put("embedding/position", value)

    def _linear(self, b: int, part: str) -> None:
        name, net = f"block{b}_{part}", self.net
        factored = f"{name}/kernel" not in self.given
        down = self.given[f"{name}_a/kernel"] if factored else None
        up = f"{name}_b" if factored else name
        kernel, bias = self.given[f"{up}/kernel"], self.given[f"{up}/bias"]
        if down is not None:
            kernel = down @ kernel
        rows, columns = places(part, net.sizes, Sizes.of(self.arch, b))
        whole = net.values(f"{name}/bias").copy()
        whole[columns] = bias
        self._put(f"{name}/bias", whole)
        if f"{name}/kernel" in net.table:
            matrix = net.values(f"{name}/kernel").copy()
            matrix[np.ix_(rows, columns)] = kernel
            self._put(f"{name}/kernel", matrix)
            return
        left, right = net.values(f"{name}_a/kernel"), net.values(f"{name}_b/kernel")
        matrix = left @ right
        matrix[np.ix_(rows, columns)] = kernel
        left, right = split_pair(matrix, left.shape[1])
        self._put(f"{name}_a/kernel", left)
        self._put(f"{name}_b/kernel", right)


def load_initial(supernet: SharedWeights, directory: str) -> None:
    """Starts from a directory that `keras_models.train` or `nas.train_supernet` wrote."""
    if is_supernet(directory):
        old = load_supernet(directory)
        if isinstance(supernet, StagedSupernet) and isinstance(old, StagedSupernet):
            inherit_stages(supernet, old)
        else:
            inherit(*(_of_one_stage(net, directory) for net in (supernet, old)))
        return
    from keras_models.load import load_trained

    flat = _of_one_stage(supernet, directory)
    init_from(flat, initial_network(directory), load_trained(directory, keras)[1])


def _of_one_stage(net: SharedWeights, directory: str) -> Supernet:
    """The supernet, for what knows one stage only; SpaceError if it has several."""
    expect_one_stage(net.space, f"--initial={directory}")
    assert isinstance(net, Supernet)
    return net
