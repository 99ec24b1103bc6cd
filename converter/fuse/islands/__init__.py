# SPDX-License-Identifier: Apache-2.0
"""Float operators between integers become integers: int8 tensors at the places that need them.

PT2E of PyTorch quantizes linear layers, convolutions and some sums; LayerNorm, the residual stream
and softmax stay in float between DEQUANTIZE and QUANTIZE. The rewriting rules and the patterns take
float operators whose ends are int8. What is missing are the tensors between two of them that are
float alone: the residual stream. This stage, between two normal forms, gives those a scale:

    composites.py  what stays as it is inside: LayerNorms, and attention from q, k, v to the context
    intervals.py   the numbers that a result can be, from those of the operands
    cuts.py        which tensors become int8, and where their range comes from
    observed.py    ranges seen on the inputs that the user gives
    graph.py       the graph with a QUANTIZE and a DEQUANTIZE at each of them
    carriers.py    builtin operators that carry an int16 stream: sums, joins, means
    borders.py     where an int16 stream meets operators of int8
    report.py      what the report says of it

A range comes from a QUANTIZE that reads the tensor too; from the numbers that it can be, which are
known exactly (a function of one int8 tensor, a softmax); from inputs that the user gives; or it is
a bound, which never clips, but is wide. A residual stream becomes int16, unless the user asks for
int8; so do sums and joins that no fused operator takes.
"""

from converter.fuse.islands.borders import Bordered, with_borders
from converter.fuse.islands.carriers import find_carriers, with_wide_layers
from converter.fuse.islands.report import coarse_means, is_too_far, remarks, staying, too_far
from converter.fuse.islands.stage import IntegerForm, float_before, integer_form

__all__ = [
    "Bordered",
    "IntegerForm",
    "coarse_means",
    "find_carriers",
    "float_before",
    "integer_form",
    "is_too_far",
    "remarks",
    "staying",
    "too_far",
    "with_borders",
    "with_wide_layers",
]
