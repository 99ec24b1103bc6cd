# SPDX-License-Identifier: Apache-2.0
"""The gate: what was lowered is checked before it is kept.

Each fused operator is encoded, read back by the rules of the device, compared in shape and type
with its tensors, and run on probe inputs against the part of the plain graph that it replaces. Then
the whole fused graph is run against the whole plain one. What fails goes back to builtin operators,
with the reason.

    normal.py    the normal form is the plain graph's function
    device.py    encoding, the device's parser, tensors
    plain.py     the plain graph on real numbers, with and without rounding to its types
    probes.py    inputs to run it on
    noise.py     the threshold
    compared.py  results of a region for one input
    witnesses.py what says more of a network than a few outputs do
    repeats.py   outputs that hardly depend on the input, of which the report says so
    wholes.py    the plain network's results for each probe
    regions.py   one pass over the fused graph
    threads.py   NumPy on one core meanwhile
"""

from converter.fuse.gate.normal import checked_normal_form
from converter.fuse.gate.plain import PlainGraph
from converter.fuse.gate.probes import Feeds
from converter.fuse.gate.regions import Gate, Lowered, Refusal
from converter.fuse.gate.threads import one_blas_thread

__all__ = [
    "Feeds",
    "Gate",
    "Lowered",
    "PlainGraph",
    "Refusal",
    "checked_normal_form",
    "one_blas_thread",
]
