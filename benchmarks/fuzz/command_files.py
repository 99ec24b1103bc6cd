# SPDX-License-Identifier: Apache-2.0
"""Valid files that mutants for commands start from: small networks plain, fused and planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.frozen.plain_files import plain_file
from benchmarks.frozen.random_archs import RandomForm
from benchmarks.fuzz.command_table import FUSED, PLAIN, PLANNED
from benchmarks.fuzz.corpus import pieces
from converter.fuse import fuse_model
from converter.plan.metadata import without_plan
from converter.plan.model import plan_model
from converter.tflite import parse, read_model, serialize
from keras_models.arch import ArchConfig

Files = Mapping[str, Sequence[bytes]]
_NETWORK_SHARE = 8  # of plain files one in so many is a whole network, the others are pieces


def _form(seed: int, dim: int, pool: str, bits: int, streamed: bool) -> RandomForm:
    """A network of digits' images: 8 x 8 gray pixels, 10 classes."""
    arch = ArchConfig(
        name=f"fuzz_{seed}", image_size=8, channels=1, num_classes=10, patch_size=4, embed_dim=dim,
        heads=(2,), mlp_ratio=(2.0,), head_dim=4, pool=pool, activation="gelu",
        attention="packed",
    )  # fmt: skip
    return RandomForm(seed, arch, bits, streamed)


FORMS = (_form(1, 8, "mean", 8, True), _form(2, 6, "cls", 16, False), _form(3, 8, "mean", 8, False))


def _offline_only(planned: bytes) -> bytes:
    """With TFLM's entry of a plan alone, as other tools write it."""
    model = parse(planned)
    kept = [m for m in model.metadata if m.name == "OfflineMemoryAllocation"]
    bare = without_plan(model)
    return serialize(type(bare)(bare.graph, bare.description, (*bare.metadata, *kept)))


def files_for(command: str, cases: str) -> Files:
    """The files of each kind.

    Args:
      command: what is to read them; evaluate needs networks of a data set, others take pieces.
      cases: folder of foreign files, "" for none.
    """
    plain = [plain_file(form) for form in FORMS]
    fused = [fuse_model(b, f.residual_bits).model_bytes for b, f in zip(plain, FORMS, strict=True)]
    planned = [
        plan_model(content, form.streamed).model_bytes
        for content, form in zip(fused, FORMS, strict=True)
    ]
    planned.append(_offline_only(planned[-1]))
    if cases and command in ("fuse", "plan", "inspect"):
        foreign = pieces(read_model(path) for path in sorted(Path(cases).glob("*.tflite")))
        whole = max(1, len(foreign) // _NETWORK_SHARE // len(plain))
        plain = [*foreign, *plain * whole]
    return {PLAIN: plain, FUSED: fused, PLANNED: planned}
