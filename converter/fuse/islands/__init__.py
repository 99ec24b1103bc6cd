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
    report.py      what the report says of it

A range comes from a QUANTIZE that reads the tensor too; from the numbers that it can be, which are
known exactly (a function of one int8 tensor, a softmax); from inputs that the user gives; or it is
a bound. A bound never clips, but is wide: such tensors of the residual stream become int16.
"""

from converter.fuse.islands.stage import IntegerForm, integer_form

__all__ = ["IntegerForm", "integer_form"]
