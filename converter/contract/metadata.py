# SPDX-License-Identifier: Apache-2.0
"""The contract as TFLite Metadata: the entry TFLITE_METADATA of a file, and its label file.

The fields are those of metadata_schema.fbs (tflite-support, file identifier M001), so that other
tools read them. What that schema cannot say, the order BGR and the data set of the training, is an
entry of its own.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import struct
from typing import Any

from converter.contract.contract import BGR, RGB, Contract, ContractError, clean_names
from converter.contract.flat import READ_ERRORS, FlatTable, FlatWriter
from converter.tflite import METADATA_NAME, AssociatedFile, Metadata, Model, Tensor
from keras_models.datasets.identity import RECORD, Identity, recorded_in
from keras_models.datasets.normalization import OWN, Normalization
from tflm_vit.files import parse_json

_ORDER = "color_order"  # in the entry OWN_NAME
IDENTIFIER = b"M001"
OWN_NAME = "VitContract"
LABEL_FILE = "labels.txt"
PARSER_VERSION = "1.0.0"  # the oldest that knows these fields


class ModelField(enum.IntEnum):
    """ModelMetadata."""

    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPHS = 3
    AUTHOR = 4
    LICENSE = 5
    FILES = 6
    MIN_PARSER_VERSION = 7


class SubgraphField(enum.IntEnum):
    """SubGraphMetadata."""

    INPUTS = 2
    OUTPUTS = 3


class TensorField(enum.IntEnum):
    """TensorMetadata."""

    NAME = 0
    DESCRIPTION = 1
    CONTENT = 3
    PROCESS_UNITS = 4
    STATS = 5
    FILES = 6


class ContentField(enum.IntEnum):
    """Content: a union takes two fields."""

    TYPE = 0
    PROPERTIES = 1


class ImageField(enum.IntEnum):
    """ImageProperties."""

    COLOR_SPACE = 0
    SIZE = 1


class SizeField(enum.IntEnum):
    """ImageSize."""

    WIDTH = 0
    HEIGHT = 1


class UnitField(enum.IntEnum):
    """ProcessUnit: a union takes two fields."""

    TYPE = 0
    OPTIONS = 1


class PairField(enum.IntEnum):
    """NormalizationOptions (mean, std) and Stats (max, min)."""

    FIRST = 0
    SECOND = 1


class FileField(enum.IntEnum):
    """AssociatedFile."""

    NAME = 0
    DESCRIPTION = 1
    TYPE = 2


FEATURE_PROPERTIES, IMAGE_PROPERTIES = 1, 2  # union ContentProperties
NORMALIZATION_OPTIONS = 1  # union ProcessUnitOptions
SPACE_UNKNOWN, SPACE_RGB, SPACE_GRAYSCALE = 0, 1, 2  # enum ColorSpaceType
AXIS_LABELS, VALUE_LABELS = 2, 3  # enum AssociatedFileType


def with_contract(model: Model, contract: Contract) -> Model:
    """The model with a contract instead of the one it had.

    Raises:
      ContractError: a model without one image in and one tensor out, or a contract for another
        number of channels or classes.
    """
    image, output = image_and_output(model)
    contract.check(image.shape[-1], output.size)
    contract = dataclasses.replace(contract, class_names=clean_names(contract.class_names))
    kept = tuple(m for m in model.metadata if m.name not in (METADATA_NAME, OWN_NAME))
    added = [Metadata(METADATA_NAME, _encode(model, image, output, contract))]
    own = _encode_own(contract)
    if own:
        added.append(Metadata(OWN_NAME, own))
    files = tuple(f for f in model.files if f.name != LABEL_FILE)
    if contract.class_names:
        text = "".join(f"{name}\n" for name in contract.class_names)
        files += (AssociatedFile(LABEL_FILE, text.encode()),)
    return dataclasses.replace(model, metadata=(*kept, *added), files=files)


def _encode_own(contract: Contract) -> bytes:
    """What the schema cannot say, as JSON; nothing where there is nothing."""
    tree: dict[str, Any] = {}
    if contract.color_order != RGB:
        tree[_ORDER] = contract.color_order
    if contract.trained_on is not None:
        tree[RECORD] = dataclasses.asdict(contract.trained_on)
    return json.dumps(tree, sort_keys=True).encode() if tree else b""


def _decode_own(data: bytes) -> tuple[str | None, Identity | None]:
    """The order of colors and the data set of an entry `OWN_NAME`."""
    try:
        tree = parse_json(data.decode())
        if not isinstance(tree, dict):
            raise ValueError("expected an object")
    except ValueError as error:
        raise ContractError(f"{OWN_NAME}: {error}; make the file again") from error
    order = tree.get(_ORDER, RGB)
    if order not in (RGB, BGR):
        raise ContractError(f"{OWN_NAME}: got color order {order!r}, expected {RGB} or {BGR}")
    return order, recorded_in(tree)


def image_and_output(model: Model) -> tuple[Tensor, Tensor]:
    """The tensors of an image classifier; ContractError where the model is none."""
    graph = model.graph
    tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(tensors[0].shape) != 4:
        raise ContractError(
            f"got {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one image "
            "[1, height, width, channels] and one output: --mean, --std and --labels are for these"
        )
    return tensors[0], tensors[1]


def _encode(model: Model, image: Tensor, output: Tensor, contract: Contract) -> bytes:
    writer = FlatWriter()
    inputs = writer.vector([_image(writer, image, contract)])
    outputs = writer.vector([_classes(writer, output, contract)])
    subgraph = writer.table([(SubgraphField.INPUTS, inputs), (SubgraphField.OUTPUTS, outputs)])
    root = writer.table(
        [
            (ModelField.NAME, writer.text(model.description or "image classifier")),
            (ModelField.SUBGRAPHS, writer.vector([subgraph])),
            (ModelField.MIN_PARSER_VERSION, writer.text(PARSER_VERSION)),
        ]
    )
    return writer.finish(root, IDENTIFIER)


def _image(writer: FlatWriter, image: Tensor, contract: Contract) -> int:
    _, height, width, channels = image.shape
    size = writer.table(uints=[(SizeField.WIDTH, width), (SizeField.HEIGHT, height)])
    spaces = {1: SPACE_GRAYSCALE, 3: SPACE_UNKNOWN if contract.color_order == BGR else SPACE_RGB}
    properties = writer.table(
        [(ImageField.SIZE, size)],
        small=[(ImageField.COLOR_SPACE, spaces.get(channels, SPACE_UNKNOWN))],
    )
    content = writer.table(
        [(ContentField.PROPERTIES, properties)], small=[(ContentField.TYPE, IMAGE_PROPERTIES)]
    )
    normalization = contract.normalization
    options = _pair(writer, normalization.mean, normalization.std)
    unit = writer.table(
        [(UnitField.OPTIONS, options)], small=[(UnitField.TYPE, NORMALIZATION_OPTIONS)]
    )
    low, high = normalization.ends
    return writer.table(
        [
            (TensorField.NAME, writer.text(image.name)),
            (TensorField.CONTENT, content),
            (TensorField.PROCESS_UNITS, writer.vector([unit])),
            (TensorField.STATS, _pair(writer, (high,), (low,))),
        ]
    )


def _classes(writer: FlatWriter, output: Tensor, contract: Contract) -> int:
    content = writer.table(
        [(ContentField.PROPERTIES, writer.table())],
        small=[(ContentField.TYPE, FEATURE_PROPERTIES)],
    )
    places = [(TensorField.NAME, writer.text(output.name)), (TensorField.CONTENT, content)]
    if contract.class_names:
        file = writer.table([(FileField.NAME, writer.text(LABEL_FILE))],
                            small=[(FileField.TYPE, AXIS_LABELS)])  # fmt: skip
        places.append((TensorField.FILES, writer.vector([file])))
    return writer.table(places)


def _pair(writer: FlatWriter, first: tuple[float, ...], second: tuple[float, ...]) -> int:
    places = [(PairField.FIRST, writer.floats(first)), (PairField.SECOND, writer.floats(second))]
    return writer.table(places)


# ---- reading -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Stated:
    """What a file says; None and () where it does not."""

    normalization: Normalization | None = None
    color_order: str | None = None
    class_names: tuple[str, ...] = ()
    trained_on: Identity | None = None


def stated_by(model: Model) -> Stated:
    """What a file's TFLite Metadata says, whichever tool wrote it.

    Raises:
      ContractError: metadata that is damaged, or does not go with the model.
    """
    data = next((m.data for m in model.metadata if m.name == METADATA_NAME), None)
    if data is None:
        return Stated()
    own = next((m.data for m in model.metadata if m.name == OWN_NAME), b"")
    try:
        if data[4:8] != IDENTIFIER:
            raise ContractError(
                f"{METADATA_NAME}: got identifier {data[4:8]!r}, expected {IDENTIFIER!r}"
            )
        found = _decode(model, data)
    except ContractError:
        raise
    except (*READ_ERRORS, struct.error) as error:
        raise ContractError(
            f"{METADATA_NAME}: got {len(data)} bytes that are no TFLite Metadata ({error}); make "
            "the file again"
        ) from error
    order, identity = _decode_own(own) if own else (found.color_order, None)
    checked = dataclasses.replace(found, color_order=order, trained_on=identity)
    image, output = image_and_output(model) if _has_image(model) else (None, None)
    if image is not None and output is not None:
        Contract(checked.normalization or OWN, order or RGB, checked.class_names).check(
            image.shape[-1], output.size
        )
    return checked


def _has_image(model: Model) -> bool:
    graph = model.graph
    one = len(graph.inputs) == len(graph.outputs) == 1
    return one and len(graph.tensors[graph.inputs[0]].shape) == 4


def _decode(model: Model, data: bytes) -> Stated:
    subgraphs = FlatTable.root(data).tables(ModelField.SUBGRAPHS)
    if not subgraphs:
        return Stated()
    inputs = subgraphs[0].tables(SubgraphField.INPUTS)
    outputs = subgraphs[0].tables(SubgraphField.OUTPUTS)
    normalization, order = _decode_image(inputs[0]) if len(inputs) == 1 else (None, None)
    names = _decode_names(model, outputs[0]) if len(outputs) == 1 else ()
    return Stated(normalization, order, names)


def _decode_image(tensor: FlatTable) -> tuple[Normalization | None, str | None]:
    normalization = order = None
    for unit in tensor.tables(TensorField.PROCESS_UNITS):
        options = unit.table(UnitField.OPTIONS)
        if unit.byte(UnitField.TYPE) == NORMALIZATION_OPTIONS and options is not None:
            mean, std = options.floats(PairField.FIRST), options.floats(PairField.SECOND)
            normalization = Normalization(mean, std)
    content = tensor.table(TensorField.CONTENT)
    if content is not None and content.byte(ContentField.TYPE) == IMAGE_PROPERTIES:
        properties = content.table(ContentField.PROPERTIES)
        if properties is not None and properties.byte(ImageField.COLOR_SPACE) == SPACE_RGB:
            order = RGB
    return normalization, order


def _decode_names(model: Model, tensor: FlatTable) -> tuple[str, ...]:
    for file in tensor.tables(TensorField.FILES):
        if file.byte(FileField.TYPE) not in (AXIS_LABELS, VALUE_LABELS):
            continue
        name = file.text(FileField.NAME)
        found = next((f.data for f in model.files if f.name == name), None)
        if found is None:
            raise ContractError(f"{METADATA_NAME}: label file {name!r} is not behind the model")
        return clean_names(found.decode("utf-8", "replace").splitlines())
    return ()
