# SPDX-License-Identifier: Apache-2.0
"""What a report is made of beside the model's own figures: its file, the plain model, a study."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
from typing import Any

import numpy as np

from converter import tflite
from converter.inspect.replaced import replaced_by
from converter.sensitivity.report import SensitivityReport, read_report
from converter.tflite import Graph
from tflm_custom_ops.ops.codec import VERSION as OPERATOR_FORMAT
from tflm_vit.files import FileError, naming
from tflm_vit.version import VERSION


@dataclasses.dataclass(frozen=True)
class Before:
    """The plain model.

    Attributes:
      operators: their names, in order.
      replaced: for each operator of the fused model the numbers of those that it replaces.
    """

    operators: tuple[str, ...]
    replaced: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where a report's figures come from.

    Attributes:
      name: of the file, without folders.
      sha256: of its content.
      versions: names and versions of what made the report.
    """

    name: str
    sha256: str
    versions: tuple[tuple[str, str], ...]
    before: Before | None = None
    sensitivity: SensitivityReport | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "model": {"name": self.name, "sha256": self.sha256},
            "versions": dict(self.versions),
            **({"before": dataclasses.asdict(self.before)} if self.before else {}),
            **({"sensitivity": dataclasses.asdict(self.sensitivity)} if self.sensitivity else {}),
        }


def sources(path: str, content: bytes, graph: Graph, plain: str, study: str) -> Sources:
    """Reads the files beside a model.

    Args:
      path, content, graph: of the model.
      plain: path of the plain model, "" for none.
      study: path of what converter.sensitivity measured, "" for none.

    Raises:
      OSError, ValueError: a file that cannot be read, or belongs to another model.
    """
    before = _before(plain, graph) if plain else None
    found = _study(study, graph) if study else None
    return Sources(
        os.path.basename(path), hashlib.sha256(content).hexdigest(), _versions(), before, found
    )


def _versions() -> tuple[tuple[str, str], ...]:
    return (
        ("tflm-vit", VERSION),
        ("operator format", str(OPERATOR_FORMAT)),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
    )


def _before(path: str, fused: Graph) -> Before:
    with naming(path):
        plain = tflite.parse(tflite.read_model(path)).graph
        return Before(tuple(op.name for op in plain.operators), replaced_by(plain, fused))


def _study(path: str, graph: Graph) -> SensitivityReport:
    report = read_report(path)
    names = [t.name for t in graph.tensors]
    mine = [(op.name, names[op.outputs[0]]) for op in graph.operators]
    measured = [(op.name, op.label) for op in report.operators]
    if measured != mine:
        raise FileError(
            f"{path}: a study of {len(measured)} operators of {report.model}, expected one of the "
            f"{len(mine)} operators of this model; run converter.sensitivity on its network"
        )
    return report
