# SPDX-License-Identifier: Apache-2.0
"""What every operator declares: one class, an instance of which is an operator with parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.access import Accesses, first_input_accesses, scratch_accesses
from tflm_custom_ops.ops.bounds import check_linear, check_norm
from tflm_custom_ops.ops.parts import Linear, Norm, residual_dtype
from tflm_custom_ops.ops.schema import Struct
from tflm_custom_ops.ops.schema.expression import evaluate
from tflm_custom_ops.ops.schema.limits import LIMITS
from tflm_custom_ops.ops.schema.struct import parts_of
from tflm_custom_ops.ops.schema.writing import BLOB_ALIGNMENT, stored_bytes
from tflm_custom_ops.ops.streams import Stream
from tflm_custom_ops.ops.work import Work


@dataclasses.dataclass(frozen=True, eq=False)
class Params(Struct):
    """Parameters of an operator (not of a part of one)."""


@dataclasses.dataclass(frozen=True)
class DeclaredTensor:
    """An input or output, by expressions of the parameters.

    Attributes:
      shape: one expression a dimension, batch left out; a single one is the number of values, in
        any shape; None for any number (the output then has the input's shape).
      bits: 8 or 16, the type's.
      zero_point: where the parameters know it.
      name: in the kernel's prototype.
    """

    shape: tuple[str, ...] | None
    bits: str = "8"
    zero_point: str = ""
    name: str = "x"


@dataclasses.dataclass(frozen=True)
class TensorType:
    """An input or output of an operator with given parameters; shape None: any."""

    shape: tuple[int, ...] | None
    bits: int
    zero_point: int | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type."""
        return np.dtype(residual_dtype(self.bits))

    @property
    def count(self) -> int | None:
        """Number of values; None where any number is fine."""
        return None if self.shape is None else int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class Streaming:
    """How an operator takes an image in strips of rows.

    Attributes:
      image: height, width, channels of the whole.
      strip_rows: rows of the largest strip.
      starts, ends: first row of each strip and the row after its last, in order.
    """

    image: tuple[int, int, int]
    strip_rows: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def strip_bytes(self) -> int:
        """Bytes of the largest strip."""
        return self.strip_rows * self.image[1] * self.image[2]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What a schedule costs besides scratch.

    Attributes:
      weight_bytes: weights that are read from their memory in one run.
      instructions: estimate, for comparing schedules of the same operator.
    """

    weight_bytes: int = 0
    instructions: float = 0.0


P = TypeVar("P", bound=Params)


@dataclasses.dataclass(frozen=True, eq=False)
class FusedOperator(Generic[P]):
    """An operator with parameters; subclasses declare the kinds.

    Class attributes:
      KIND: number in the file format.
      NAME: folder and C functions: vit_<NAME>, vit_parse_<NAME>, vit_<NAME>_scratch_bytes.
      CODE: custom code in a `.tflite`.
      PARAMS: the parameters' dataclass.
      INPUTS, OUTPUT: of the activations that it reads, in order, and of its result.
      IN_PLACE: condition of the parameters under which the output may begin where the first input
        does, if that has the same size and is no other input.
      HAS_SCRATCH: whether there is a scratch function; without, the last argument of the kernel
        is the number of values.
      STREAMS: whether it may take its input in strips of rows (`streaming`).
      WRITES_STREAM: whether its output is the residual stream of a network.
      TFLM_STANDARD: whether tflm/vit_<NAME>.cc can be generated.
      C_X, C_Y: C types of the inputs and of y in the kernel's prototype.
      C_NOTE: comment of the prototype; C_MORE: lines after it, of further entry points.
    """

    params: P

    KIND: ClassVar[int]
    NAME: ClassVar[str]
    CODE: ClassVar[str]
    PARAMS: ClassVar[type[Params]]
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]]
    OUTPUT: ClassVar[DeclaredTensor]
    IN_PLACE: ClassVar[str] = "0"
    HAS_SCRATCH: ClassVar[bool] = True
    STREAMS: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = False
    TFLM_STANDARD: ClassVar[bool] = True
    C_X: ClassVar[str] = "const void*"
    C_Y: ClassVar[str] = "void*"
    C_NOTE: ClassVar[str] = ""
    C_MORE: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        """Types and shapes of the inputs."""
        return tuple(self._tensor(tensor) for tensor in self.INPUTS)

    @property
    def output(self) -> TensorType:
        """Type and shape of y."""
        return self._tensor(self.OUTPUT)

    @property
    def in_place(self) -> bool:
        """Whether the output may begin where the first input does."""
        return bool(evaluate(self.IN_PLACE, _Scope(self.params)))

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y for a first input of this shape."""
        shape = self.output.shape
        return x_shape if shape is None else shape

    # Subclasses name the inputs.
    def reference(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        """The definition: y of the inputs, shapes and types as `inputs` and `output` say."""
        raise NotImplementedError

    def check_bounds(self) -> None:
        """OptionsError unless no sum leaves its bits, whatever the inputs are."""
        for layer in parts_of(self.params, Linear):
            check_linear(layer)
        for norm in parts_of(self.params, Norm):
            check_norm(norm)

    @property
    def scratch_bytes(self) -> int:
        """``vit_<NAME>_scratch_bytes``."""
        return 0

    def schedules(self) -> Iterator[P]:
        """The parameters with every schedule worth comparing."""
        yield self.params

    def default_schedule(self) -> P:
        """The parameters with tiles that fit small memories, before a plan chooses them."""
        return self.params

    @property
    def has_good_tile(self) -> bool:
        """Whether the schedule reads weights seldom enough to be the first choice."""
        return True

    @property
    def schedule_cost(self) -> Schedule:
        """The cost of the schedule that the parameters have."""
        return Schedule(0, self.work.instructions)

    @property
    def work(self) -> Work:
        """The pieces of code that the schedule runs on a core with the DSP extension."""
        return Work()

    def work_on(self, values: int) -> Work:
        """The same with an input of so many values, for operators that take any shape."""
        return self.work

    @property
    def accesses(self) -> Accesses:
        """Bytes that a run loads and stores of its buffers; in general the first input as often
        as it is normalized or widened, and once more where it is added to the output, the others
        and the output once, and scratch as `work` says."""
        work = self.work
        sizes = [(t.count or 0) * t.bits // 8 for t in self.inputs]
        output = (self.output.count or 0) * self.output.bits // 8
        first = first_input_accesses(work) or sizes[0]
        if self.WRITES_STREAM and self.in_place:
            first += sizes[0]
        return Accesses((first, *sizes[1:]), output, scratch_accesses(work))

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What a run reads in sequence, again and again, of its scratch; in general nothing."""
        return ()

    @property
    def schedule_text(self) -> str:
        """The schedule in words, e.g. "16 tokens, 1 of 3 heads"; empty where there is none."""
        return ""

    def schedule_changes(self, other: FusedOperator[Any]) -> tuple[str, ...]:
        """What ``other``, the same operator under another schedule, does in smaller steps."""
        return ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run; 0 where there are no products."""
        return 0

    @property
    def kept_bytes(self) -> int:
        """Scratch bytes that hold results between its tiles (keys and values)."""
        return 0

    @property
    def overwrite_margin(self) -> int | None:
        """For an output that may overwrite consumed input of another size: how far before the
        input it must begin, in bytes; None where that is not possible."""
        return None

    @property
    def reads_planes(self) -> bool:
        """Whether its input is an image in planes, [1, channels, height, width]."""
        return False

    @property
    def streaming(self) -> Streaming | None:
        """How it takes its input in strips of rows; None where it needs the whole."""
        return None

    @property
    def constant_bytes(self) -> int:
        """Bytes of its constant blob."""
        return sum(-(-size // BLOB_ALIGNMENT) * BLOB_ALIGNMENT for size in self._stored())

    def _stored(self) -> list[int]:
        """Bytes of each array in the blob, those that are certain to be equal only once."""
        return stored_bytes(self.params)

    def _tensor(self, tensor: DeclaredTensor) -> TensorType:
        scope = _Scope(self.params)
        shape = None
        if tensor.shape is not None:
            shape = tuple(evaluate(dimension, scope) for dimension in tensor.shape)
        zero_point = evaluate(tensor.zero_point, scope) if tensor.zero_point else None
        return TensorType(shape, evaluate(tensor.bits, scope), zero_point)


class _Scope(dict[str, Any]):
    """The limits and the parameters' attributes."""

    def __init__(self, params: Params) -> None:
        super().__init__(LIMITS)
        self._params = params

    def __missing__(self, name: str) -> Any:
        return getattr(self._params, name)
