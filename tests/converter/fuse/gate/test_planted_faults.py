# SPDX-License-Identifier: Apache-2.0
"""Whatever is lowered wrongly is given back by the gate, with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from converter.fuse import fuse_model, pipeline
from converter.fuse.arithmetic import Range
from converter.fuse.lower import lower
from converter.fuse.patterns.match import Match
from tests.converter.fuse.gate.faults import FAULTS, Fault
from tests.converter.fuse.gate.networks import network
from tflm_custom_ops.ops import BY_CODE, Attention, Mlp, Params, code_of, encode


def test_the_network_has_every_operator() -> None:
    report = fuse_model(network()).report
    assert {op.custom_code for op in report.fused} == set(BY_CODE) - {
        "VitRmsNorm",
        "VitAttentionCore",
        "VitPatchMerge",
    }
    assert report.not_fused == ()
    assert report.leftovers == ()
    assert report.accuracy is not None
    assert report.accuracy.fused_db >= report.accuracy.plain_db


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted_fault_is_refused(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    planted: set[str] = set()
    without: set[str] = set()  # operators that have nothing to be wrong: no residual in a core

    def wrong(match: Match, type_of: Callable[[int], Range]) -> Params:
        op = lower(match, type_of)
        if not isinstance(op, fault.kind):
            return op
        faulty = fault.plant(op)
        if isinstance(op, Attention | Mlp) and not op.residual.multiplier:
            faulty = dataclasses.replace(faulty, residual=op.residual)  # x is not added
        (planted if encode(faulty) != encode(op) else without).add(code_of(op))
        return faulty

    monkeypatch.setattr(pipeline, "lower", wrong)
    report = fuse_model(network()).report
    (code,) = planted
    fused = [op.label for op in report.fused if op.custom_code == code]
    assert not fused or code in without
    assert all(label.startswith("MLP core") or "without a norm" in label for label in fused)
    reasons = [n.reason for n in report.not_fused]
    assert any("probe inputs" in r or "would be refused" in r for r in reasons), reasons


def test_there_are_thirty_faults() -> None:
    assert len(FAULTS) >= 30
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
