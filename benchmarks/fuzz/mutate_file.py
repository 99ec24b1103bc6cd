# SPDX-License-Identifier: Apache-2.0
"""Changes what a `.tflite` has beside tensors and operators: calls of subgraphs, signatures,
metadata, resources, sparse and external data, and fields that few files use.

Each takes the generated object tree, as those of `benchmarks.fuzz.mutate`.
"""

from __future__ import annotations

import copy
import random
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converter.fused_ops import FUSED_CODES
from converter.tflite.schema import OPCODES

Rng = random.Random
_NAMES = ("OfflineMemoryAllocation", "VitPlan", "TFLITE_METADATA", "min_runtime_version", "", None)
_CALLS = ("IF", "WHILE", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL")
_TYPES = schema.TensorType


def _graph(tree: Any) -> Any:
    return tree.subgraphs[0]


def _tensor(rng: Rng, tree: Any) -> Any:
    return rng.choice(_graph(tree).tensors)


def _operator(rng: Rng, tree: Any) -> Any:
    return rng.choice(_graph(tree).operators)


def _index(rng: Rng, count: int) -> int:
    """Mostly within a list, else just or far beyond its ends."""
    return rng.choice((-1, count, 1 << 30, *range(count), *range(count)))


def _bytes(rng: Rng, most: int = 64) -> list[int]:
    return list(rng.randbytes(rng.randrange(most)))


# ---- subgraphs and state -------------------------------------------------------------------------


def second_graph(rng: Rng, tree: Any) -> None:
    del rng
    tree.subgraphs.append(copy.deepcopy(_graph(tree)))


def call(rng: Rng, tree: Any) -> None:
    """An operator that names subgraphs or resources, in place of one or beside them."""
    name = rng.choice(_CALLS)
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = OPCODES[name], 1
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    tree.operatorCodes.append(code)
    op = _operator(rng, tree) if rng.random() < 0.5 else schema.OperatorT()
    if op not in _graph(tree).operators:
        op.inputs, op.outputs = [], []
        _graph(tree).operators.insert(0, op)
    op.opcodeIndex = len(tree.operatorCodes) - 1
    kind = {"IF": "If", "WHILE": "While", "CALL_ONCE": "CallOnce", "CALL": "Call"}.get(name)
    op.builtinOptions, op.builtinOptionsType = None, 0
    if kind is not None:
        op.builtinOptions = getattr(schema, f"{kind}OptionsT")()
        op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        for field in vars(op.builtinOptions):
            setattr(op.builtinOptions, field, _index(rng, 2))
    if rng.random() < 0.5:
        second_graph(rng, tree)


def resource(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    t.type = rng.choice((_TYPES.STRING, _TYPES.RESOURCE, _TYPES.VARIANT, _TYPES.COMPLEX64))


def lists(rng: Rng, tree: Any) -> None:
    """One of the file's lists is missing, empty, or has one entry less."""
    owner, name = rng.choice((
        *((tree, n) for n in ("operatorCodes", "subgraphs", "buffers")),
        *((_graph(tree), n) for n in ("tensors", "operators", "inputs", "outputs")),
    ))  # fmt: skip
    values = [] if (found := getattr(owner, name)) is None else list(found)
    setattr(owner, name, rng.choice((None, [], values[:-1], values[1:])))


# ---- names and descriptions ----------------------------------------------------------------------


def signature(rng: Rng, tree: Any) -> None:
    count = len(_graph(tree).tensors)
    made = schema.SignatureDefT()
    made.signatureKey = rng.choice(("serving_default", "other", "", None))
    made.subgraphIndex = rng.choice((0, 0, 1, 99, (1 << 32) - 1))
    made.inputs, made.outputs = [], []
    for entries in (made.inputs, made.outputs):
        for _ in range(rng.randrange(3)):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = rng.choice(("x", "", None)), _index(rng, count) % 2**32
            entries.append(entry)
    tree.signatureDefs = [*(tree.signatureDefs or []), made]
    if rng.random() < 0.3:
        tree.signatureDefs.append(made)


def metadata(rng: Rng, tree: Any) -> None:
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = _bytes(rng)
    tree.buffers.append(buffer)
    entry.name, entry.buffer = rng.choice(_NAMES), _index(rng, len(tree.buffers)) % 2**32
    tree.metadata = [*(tree.metadata or []), entry]
    if rng.random() < 0.2:
        tree.metadata.append(entry)


def name(rng: Rng, tree: Any) -> None:
    owner = rng.choice((_tensor(rng, tree), _graph(tree)))
    owner.name = rng.choice(
        (None, "", "a\nb", "\0", "x" * 100_000, b"\xff\xfe", "%s%n", "'\"`$(x)")
    )


def custom_code(rng: Rng, tree: Any) -> None:
    code = rng.choice(tree.operatorCodes)
    code.customCode = rng.choice(("", *sorted(FUSED_CODES), "FlexErf", "x", b"\xff"))
    if rng.random() < 0.5:
        code.builtinCode = code.deprecatedBuiltinCode = OPCODES["CUSTOM"]


# ---- data ----------------------------------------------------------------------------------------


def sparse(rng: Rng, tree: Any) -> None:
    made = schema.SparsityParametersT()
    if rng.random() < 0.8:
        made.traversalOrder = [_index(rng, 4) for _ in range(rng.randrange(5))]
        made.blockMap = [_index(rng, 4) for _ in range(rng.randrange(3))]
        made.dimMetadata = [schema.DimensionMetadataT() for _ in range(rng.randrange(5))]
        for dimension in made.dimMetadata:
            dimension.format, dimension.denseSize = rng.randrange(2), _index(rng, 9)
    _tensor(rng, tree).sparsity = made


def shared(rng: Rng, tree: Any) -> None:
    """Two tensors with one buffer."""
    _tensor(rng, tree).buffer = _tensor(rng, tree).buffer


def behind(rng: Rng, tree: Any) -> None:
    """A constant that is said to lie at a place of the file, near the bytes that it needs."""
    filled = [b for b in tree.buffers if b.data is not None and len(b.data)]
    if not filled:
        return
    buffer = rng.choice(filled)
    size = len(buffer.data)
    buffer.size = max(0, size + rng.choice((0, 0, 0, -1, 1, 4)))
    buffer.offset = rng.choice((0, 1, 2, 16, 128, 1024, rng.randrange(1, 5000), 1 << 63))
    if rng.random() < 0.8:
        buffer.data = None


def external(rng: Rng, tree: Any) -> None:
    """Data in a file beside the model."""
    group, buffer = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
    group.name = rng.choice(("weights.bin", "/etc/passwd", "../x", None))
    buffer.id, buffer.group = rng.choice((0, 1, 7)), rng.choice((0, 1, 99))
    buffer.offset, buffer.length = rng.choice((0, 16, 1 << 40)), rng.choice((0, 64, 1 << 40))
    if rng.random() < 0.7:
        tree.externalBufferGroups, tree.externalBuffers = [group], [buffer]
    _tensor(rng, tree).externalBuffer = rng.choice((1, 7, 99))


def many(rng: Rng, tree: Any) -> None:
    """Tables of thousands."""
    graph = _graph(tree)
    kind = rng.randrange(3)
    if kind == 0:
        graph.tensors = [*graph.tensors, *[schema.TensorT()] * 3000]
    elif kind == 1:
        tree.buffers = [*tree.buffers, *[schema.BufferT()] * 3000]
    else:
        op = _operator(rng, tree)
        op.inputs = [*op.inputs, *[rng.choice(op.inputs)] * 3000]


# ---- shapes and scales ---------------------------------------------------------------------------


def zero_dimension(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    shape = [] if t.shape is None else [int(n) for n in t.shape]
    if shape:
        shape[rng.randrange(len(shape))] = rng.choice((0, 0, -1, -1, -(1 << 31), 1 << 30))
        t.shape = shape


def shape_signature(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    shape = [] if t.shape is None else [int(n) for n in t.shape]
    for _ in range(rng.randrange(1, 3)):
        if shape and rng.random() < 0.7:
            shape[rng.randrange(len(shape))] = rng.choice((-1, -1, 0, 1, 7, -2))
        else:
            shape.insert(0, rng.choice((-1, 1)))
    t.shapeSignature = shape


def per_channel(rng: Rng, tree: Any) -> None:
    """As many scales as a dimension has, about."""
    t = _tensor(rng, tree)
    shape = [] if t.shape is None else [int(n) for n in t.shape]
    if not shape:
        return
    q = t.quantization = t.quantization or schema.QuantizationParametersT()
    axis = rng.randrange(len(shape))
    count = min(max(0, shape[axis] + rng.choice((0, 0, 0, -1, 1))), 4096)
    q.scale = [rng.choice((0.1, 0.1, 0.1, 0.0, float("nan"), 1e-42, 3e38))] * count
    q.zeroPoint = rng.choice(([0] * count, [0] * count, [1] * count, [0], None))
    q.quantizedDimension = axis + rng.choice((0, 0, 0, 1, -1))


def extremes(rng: Rng, tree: Any) -> None:
    """Scales at the ends of their type, all of a tensor."""
    q = _tensor(rng, tree).quantization
    if q is not None and q.scale is not None:
        value = rng.choice((1.1754944e-38, 1.0e-38, 3.4e38, 1e-20, 1e20, 1e-7, 1e7, -0.0))
        q.scale = [value] * len(q.scale)


def details(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    q = t.quantization = t.quantization or schema.QuantizationParametersT()
    kind = rng.choice(("CustomQuantization", "BlockwiseQuantization", "MultiAxisQuantization"))
    q.details, q.detailsType = (
        getattr(schema, f"{kind}T")(),
        getattr(schema.QuantizationDetails, kind),
    )
    if rng.random() < 0.3:
        q.details = None
    if rng.random() < 0.3:
        q.min, q.max = [float("nan")], [float("-inf")]


# ---- fields that few files use -------------------------------------------------------------------


def rare_tensor(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    if rng.random() < 0.5:
        t.hasRank = not t.hasRank
    else:
        t.variantTensors = [schema.VariantSubTypeT() for _ in range(rng.randrange(1, 3))]


def rare_operator(rng: Rng, tree: Any) -> None:
    op, count = _operator(rng, tree), len(_graph(tree).tensors)
    kind = rng.randrange(6)
    if kind == 0:
        op.customOptions, op.customOptionsFormat = _bytes(rng), rng.randrange(2)
    elif kind == 1:
        op.largeCustomOptionsOffset = rng.choice((1, 8, 1 << 20, 1 << 63))
        op.largeCustomOptionsSize = rng.choice((0, 1, 64, 1 << 40))
    elif kind == 2:
        op.mutatingVariableInputs = [rng.random() < 0.5 for _ in range(rng.randrange(1, 4))]
    elif kind == 3:
        op.intermediates = [_index(rng, count) for _ in range(rng.randrange(1, 4))]
    elif kind == 4:
        kinds = {k: v for k, v in vars(schema.BuiltinOptions2).items() if isinstance(v, int) and v}
        chosen = rng.choice(sorted(kinds))
        op.builtinOptions2, op.builtinOptions2Type = getattr(schema, f"{chosen}T")(), kinds[chosen]
    else:
        op.debugMetadataIndex = _index(rng, 3)


MUTATIONS = (
    *(second_graph, call, resource, lists, signature, metadata, name, custom_code),
    *(sparse, shared, behind, external, many, zero_dimension, shape_signature, per_channel),
    *(extremes, details, rare_tensor, rare_operator),
)
