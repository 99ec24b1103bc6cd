# SPDX-License-Identifier: Apache-2.0
"""The language that operators' parameters are declared in: a dataclass is the schema.

A class of `Struct` states for each field, in `Annotated`, what stands in the file, its limits and
the checks between fields. Serialized form, Python and C parsers, C structs and initializers and
the tables of docs/operators.md follow from it.
"""

from tflm_custom_ops.ops.schema.expression import Expression
from tflm_custom_ops.ops.schema.fields import Array, Check, Part, Predicate, Word, Word64
from tflm_custom_ops.ops.schema.status import OptionsError, Status
from tflm_custom_ops.ops.schema.struct import Field, Struct, fields_of

__all__ = [
    "Array",
    "Check",
    "Expression",
    "Field",
    "OptionsError",
    "Part",
    "Predicate",
    "Status",
    "Struct",
    "Word",
    "Word64",
    "fields_of",
]
