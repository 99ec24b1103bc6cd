# SPDX-License-Identifier: Apache-2.0
"""Random small architectures of several stages, for property tests."""

from hypothesis import strategies as st

from keras_models.parts import BlockRanks, StemLayer
from keras_models.staged import StagedConfig
from keras_models.stages import AttentionStage, ConvStage

_WIDTHS = st.sampled_from([6, 8, 12])


@st.composite
def _conv_stage(draw, side):
    stride = draw(st.sampled_from([1, 2]))
    stride = stride if side % 2 == 0 and side > 2 else 1
    blocks = draw(st.sampled_from(["residual", "separable"]))
    width, depth = draw(_WIDTHS), draw(st.sampled_from([1, 2]))
    bits = tuple(draw(st.sampled_from([4, 8])) for _ in range(depth))
    return ConvStage(blocks, width, depth, stride, weight_bits=bits)


@st.composite
def _attention_stage(draw, side, width, relative):
    downs = ["none", "patch", "conv", "merge"]
    down = draw(st.sampled_from(downs if side % 2 == 0 and side > 2 else downs[:1]))
    width = width if down == "none" else draw(st.sampled_from([8, 12, 16]))
    depth = draw(st.sampled_from([1, 2]))
    ranks = BlockRanks(qkv=draw(st.sampled_from([0, 3])), fc2=draw(st.sampled_from([0, 3])))
    stride = 1 if down == "none" else 2
    window = 2 if side // stride > 2 and draw(st.booleans()) else 0
    bias = draw(st.booleans())
    return AttentionStage(
        width=width,
        heads=tuple(draw(st.sampled_from([1, 2])) for _ in range(depth)),
        mlp_ratio=(draw(st.sampled_from([1.0, 2.0])),) * depth,
        head_dim=draw(st.sampled_from([4, 8])),
        down=down,
        stride=stride,
        norm=draw(st.booleans()),
        window=window,
        shift=window > 0 and draw(st.booleans()),
        bias=bias,
        relative_position=draw(st.sampled_from([0, 1, 3]))
        if relative and not (window or bias)
        else 0,
        position=draw(st.booleans()),
        ranks=(ranks,) * depth if draw(st.booleans()) else (),
        weight_bits=tuple(draw(st.sampled_from([4, 8])) for _ in range(depth)),
    )


@st.composite
def staged_archs(draw, relative=True):
    """One to four stages at 16 pixels; every kind of block and way down can occur.

    Args:
      relative: relative keys and values too.
    """
    stem = draw(st.sampled_from([(), (StemLayer(3, 2, 8, "relu", True),)]))
    side, width, stages = 16 // (2 if stem else 1), 8 if stem else 3, []
    for _ in range(draw(st.integers(0, 2))):
        stages.append(draw(_conv_stage(side)))
        side, width = side // stages[-1].stride, stages[-1].width
    for _ in range(draw(st.integers(0 if stages else 1, 2))):
        stages.append(draw(_attention_stage(side, width, relative)))
        side, width = side // stages[-1].stride, stages[-1].width
    return StagedConfig(image_size=16, num_classes=5, stem=stem, stages=tuple(stages))
