# SPDX-License-Identifier: Apache-2.0
"""Valid files that mutants for commands start from, plain, fused and planned.

Most are pieces of one to three operators, which a command reads in a few milliseconds.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.frozen.plain_files import plain_file
from benchmarks.frozen.random_archs import RandomForm, RandomState
from benchmarks.fuzz.command_table import COMMANDS, FUSED, PLAIN, PLANNED
from benchmarks.fuzz.corpus import cut, pieces
from converter.contract import Contract, with_contract
from converter.fuse import fuse_model
from converter.plan.metadata import without_plan
from converter.plan.model import plan_model
from converter.runtimes.tflm.op_models import Activation, chain_model, custom_op
from converter.tflite import Model, parse, read_model, serialize
from keras_models.arch import ArchConfig
from keras_models.datasets.normalization import Normalization
from tests.converter.fuse.plain_graph import PlainGraph
from tests.tflm_custom_ops.generators import input_shape, random_op
from tflm_custom_ops.ops import OpKind, Params, operator_of

Files = Mapping[str, Sequence[bytes]]
_LARGEST_SINGLE_BYTES = 1 << 13
_NETWORK_SHARE = 20  # of the files one in so many is a whole network, the others are small


def _form(seed: int, dim: int, pool: str, bits: int, streamed: bool) -> RandomForm:
    """A network of digits' images: 8 x 8 gray pixels, 10 classes."""
    arch = ArchConfig(
        name=f"fuzz_{seed}", image_size=8, channels=1, num_classes=10, patch_size=4, embed_dim=dim,
        heads=(2,), mlp_ratio=(2.0,), head_dim=4, pool=pool, activation="gelu",
        attention="packed",
    )  # fmt: skip
    return RandomForm(seed, arch, bits, streamed)


FORMS = (_form(1, 8, "mean", 8, True), _form(2, 6, "cls", 16, False), _form(3, 8, "mean", 8, False))


def _linear_network() -> bytes:
    """The smallest network of digits: one linear layer."""
    rng = RandomState(4)
    g = PlainGraph(rng)
    x = g.input(rng.normal(0.0, 0.5, (1, 8, 8, 1)))
    return g.finish(g.linear(g.reshape(x, 1, 64), 10))


def _offline_only(planned: bytes) -> bytes:
    """With TFLM's entry of a plan alone, as other tools write it."""
    model = parse(planned)
    kept = tuple(m for m in model.metadata if m.name == "OfflineMemoryAllocation")
    bare = without_plan(model)
    return serialize(dataclasses.replace(bare, metadata=(*bare.metadata, *kept)))


def _fused_pieces(fused: Sequence[bytes]) -> list[bytes]:
    """Each operator of fused networks as a file of its own."""
    graphs = [parse(content).graph for content in fused]
    cuts: list[Model] = [cut(g, i, 1) for g in graphs for i in range(len(g.operators))]
    return [serialize(model) for model in cuts]


def _of_each_kind() -> list[bytes]:
    """Random operators of every kind, each a file: sizes, options and bits that networks lack."""
    found = []
    for kind in OpKind:
        drawn = (random_op(kind, np.random.default_rng([kind, seed])) for seed in range(40))
        files = (_single(op) for op in drawn)
        found += list(itertools.islice((f for f in files if len(f) <= _LARGEST_SINGLE_BYTES), 6))
    return found


def _single(op: Params) -> bytes:
    """A file of one operator."""
    inputs = [Activation((1, *(t.shape or (77,))), t.dtype.name) for t in operator_of(op).inputs]
    y = operator_of(op).output
    shape = operator_of(op).output_shape(input_shape(op))
    return chain_model(inputs, [custom_op(op, Activation((1, *shape), y.dtype.name))])


def _with_contract(content: bytes) -> bytes:
    """A network that says how images become its input, with its classes in a label file."""
    names = tuple(f"class {i}" for i in range(10))
    contract = Contract(Normalization((0.5,), (0.25,)), class_names=names)
    return serialize(with_contract(parse(content), contract))


def _mixed(small: Sequence[bytes], networks: Sequence[bytes]) -> list[bytes]:
    """All small files, and networks among them in their share."""
    times = -(-len(small) // ((_NETWORK_SHARE - 1) * len(networks)))
    return [*small, *networks * times]


def _pieces(plain: Sequence[bytes], fused: Sequence[bytes], cases: str) -> Files:
    """Of a few operators each."""
    paths = sorted(Path(cases).glob("*.tflite")) if cases else []
    small = pieces([*plain, *(read_model(path) for path in paths)])
    one_each = [*_fused_pieces(fused), *_of_each_kind()]
    planned = [plan_model(content).model_bytes for content in (*one_each, *pieces(plain))]
    return {PLAIN: small, FUSED: one_each, PLANNED: planned}


def _linear() -> Files:
    plain = _linear_network()
    fused = fuse_model(plain).model_bytes
    planned = [plan_model(content).model_bytes for content in (plain, fused)]
    several = _NETWORK_SHARE * len(FORMS)
    return {PLAIN: [plain] * several, FUSED: [fused] * several, PLANNED: planned * (several // 2)}


def files_for(command: str, cases: str) -> Files:
    """The files of each kind.

    Args:
      command: what is to read them; some need networks of a data set, others take pieces.
      cases: folder of foreign files, "" for none.
    """
    plain = [plain_file(form) for form in FORMS]
    fused = [fuse_model(b, f.residual_bits).model_bytes for b, f in zip(plain, FORMS, strict=True)]
    planned = [
        plan_model(content, form.streamed).model_bytes
        for content, form in zip(fused, FORMS, strict=True)
    ]
    planned.append(_offline_only(planned[-1]))
    planned.append(_with_contract(planned[0]))
    small = _linear() if COMMANDS[command].of_images else _pieces(plain, fused, cases)
    whole = {PLAIN: plain, FUSED: fused, PLANNED: planned}
    return {kind: _mixed(small[kind], whole[kind]) for kind in whole}
