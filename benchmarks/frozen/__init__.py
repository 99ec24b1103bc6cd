# SPDX-License-Identifier: Apache-2.0
"""The frozen record: what every runtime computed at one revision, for later ones to keep.

`python -m benchmarks.frozen --out=docs/results/frozen.json` records, `--compare` compares. Logits,
arenas and instruction counts are sections of their own, so that one of them can be recorded again
while the others still hold.
"""
