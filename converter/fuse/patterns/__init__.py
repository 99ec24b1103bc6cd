# SPDX-License-Identifier: Apache-2.0
"""What is looked for in a plain graph; one file per pattern.

Each `match_*` function takes a graph view and an anchor and returns a frozen match (tensors,
constants and real-valued parameters, no integer arithmetic yet), or raises `NoMatchError` with the
reason. Matches are found by following data, not by comparing operator sequences: plumbing is traced
on element numbers (`converter.fuse.layout`), LayerNorm and activations are recognised by computing
them on probe values (`converter.fuse.op_semantics`).
"""
