# SPDX-License-Identifier: Apache-2.0
"""Three small models for one program: an image with a contract, a streamed one, tensors."""

from __future__ import annotations

import functools

from converter.contract import Contract, with_contract
from converter.contract.contract import BGR
from converter.plan.model import plan_model
from converter.tflite import parse, serialize
from keras_models.datasets.normalization import Normalization
from tests.converter.compile import fused_models
from tests.converter.compile.test_interface import sums

NAMES = ("Größe", 'a "quoted" \\ name', "what??/", "*/ evil", "n4", "n5", "n6")
CONTRACT = Contract(Normalization((120.0, 110.0, 100.0), (20.0, 21.0, 22.0)), BGR, NAMES)


@functools.cache
def first() -> bytes:
    """A whole image, with a contract."""
    plain = fused_models.model_bytes(fused_models.vit_ops(classes=len(NAMES)))
    named = serialize(with_contract(parse(plain), CONTRACT))
    return plan_model(named).model_bytes


@functools.cache
def second() -> bytes:
    """Rows of an image whose patches overlap, and nothing said of pixels."""
    image = fused_models.ImageShape(18, 14, 3, 5, 3, 1)
    ops = fused_models.vit_ops(1, image=image, bits=16)
    return plan_model(fused_models.model_bytes(ops), True).model_bytes


@functools.cache
def third() -> bytes:
    """Three inputs, three outputs."""
    return plan_model(sums()).model_bytes
