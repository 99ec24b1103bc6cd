# SPDX-License-Identifier: Apache-2.0
"""How an image becomes a network's input and what its outputs mean, in the `.tflite` itself
(docs/contract.md)."""

from converter.contract.choice import chosen, contract_of, rewritten
from converter.contract.classifier import output_shape
from converter.contract.contract import Contract, ContractError, input_range, quantized
from converter.contract.metadata_reading import Stated, stated_by
from converter.contract.metadata_writing import with_contract

__all__ = [
    "Contract",
    "ContractError",
    "Stated",
    "chosen",
    "contract_of",
    "input_range",
    "output_shape",
    "quantized",
    "rewritten",
    "stated_by",
    "with_contract",
]
