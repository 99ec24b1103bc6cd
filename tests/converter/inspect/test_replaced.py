# SPDX-License-Identifier: Apache-2.0
"""Which plain operators became which fused one, found by the names of tensors."""

from __future__ import annotations

import dataclasses

import pytest

from converter import tflite
from converter.fuse import fuse_model
from converter.inspect.replaced import replaced_by
from tests.converter.inspect.pages import plain_block


def test_counts_are_the_fusers_own() -> None:
    plain = plain_block()
    result = fuse_model(plain)
    before, after = (tflite.parse(c).graph for c in (plain, result.model_bytes))
    found = replaced_by(before, after)
    assert [len(each) for each in found] == [op.replaced_ops for op in result.report.fused]
    assert sorted(i for each in found for i in each) == list(range(len(before.operators)))


def test_a_name_that_several_tensors_have_is_no_border() -> None:
    plain = tflite.parse(plain_block()).graph
    tensors = tuple(t if t.is_constant else dataclasses.replace(t, name="t") for t in plain.tensors)
    with pytest.raises(tflite.TfliteError, match="expected the file that it was fused from"):
        replaced_by(plain, dataclasses.replace(plain, tensors=tensors))
    with pytest.raises(tflite.TfliteError, match="expected the file that it was fused from"):
        replaced_by(dataclasses.replace(plain, tensors=tensors), plain)
