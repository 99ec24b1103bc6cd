# SPDX-License-Identifier: Apache-2.0
"""What the TFLite Metadata of a file says of its image and its classes, whichever tool wrote it."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

from converter.contract.classifier import has_question, image_and_output
from converter.contract.contract import BGR, RGB, Contract, ContractError, clean_names
from converter.contract.flat import READ_ERRORS, FlatTable
from converter.contract.metadata_fields import (
    AXIS_LABELS,
    COLOR_ORDER,
    IDENTIFIER,
    IMAGE_PROPERTIES,
    NORMALIZATION_OPTIONS,
    OWN_NAME,
    SPACE_RGB,
    TASK,
    VALUE_LABELS,
    VOCABULARY,
    ContentField,
    FileField,
    ImageField,
    ModelField,
    PairField,
    SubgraphField,
    TensorField,
    UnitField,
)
from converter.tflite import METADATA_NAME, Model
from keras_models.datasets.identity import Identity, recorded_in
from keras_models.datasets.normalization import OWN, Normalization
from keras_models.tasks import CLASSIFICATION, TASKS, Task
from keras_models.text.subwords import (
    TOKEN_BYTES,
    Vocabulary,
    VocabularyError,
    vocabulary_of,
)
from tflm_vit.files import parse_json


@dataclasses.dataclass(frozen=True)
class Stated:
    """What a file says; None and () where it does not."""

    normalization: Normalization | None = None
    color_order: str | None = None
    class_names: tuple[str, ...] = ()
    trained_on: Identity | None = None
    task: Task = CLASSIFICATION
    vocabulary: Vocabulary | None = None


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
        task = _task(own)
        found = _decode(model, data, task.asked is not None)
    except ContractError:
        raise
    except (*READ_ERRORS, struct.error) as error:
        raise ContractError(
            f"{METADATA_NAME}: got {len(data)} bytes that are no TFLite Metadata ({error}); make "
            "the file again"
        ) from error
    checked = _with_own(found, own) if own else found
    asked = checked.task.asked is not None
    known = has_question(model.graph) if asked else _has_image(model)
    image, output = image_and_output(model, asked) if known else (None, None)
    if image is not None and output is not None:
        Contract(
            checked.normalization or OWN,
            checked.color_order or RGB,
            checked.class_names,
            task=checked.task,
            vocabulary=checked.vocabulary,
        ).check(image.shape[-1], output.shape)
    return checked


def _has_image(model: Model) -> bool:
    graph = model.graph
    one = len(graph.inputs) == len(graph.outputs) == 1
    return one and len(graph.tensors[graph.inputs[0]].shape) == 4


def _decode(model: Model, data: bytes, asked: bool) -> Stated:
    subgraphs = FlatTable.root(data).tables(ModelField.SUBGRAPHS)
    if not subgraphs:
        return Stated()
    inputs = subgraphs[0].tables(SubgraphField.INPUTS)
    outputs = subgraphs[0].tables(SubgraphField.OUTPUTS)
    normalization, order = _decode_image(inputs[0]) if len(inputs) == 1 + asked else (None, None)
    names = _decode_names(model, outputs[0]) if len(outputs) == 1 else ()
    vocabulary = _decode_vocabulary(model, inputs[0]) if len(inputs) == 1 else None
    return Stated(normalization, order, names, vocabulary=vocabulary)


def _decode_vocabulary(model: Model, tensor: FlatTable) -> Vocabulary | None:
    """Of a text of sub-words as this project's networks take it; None of other inputs."""
    if not _has_image(model) or model.graph.tensors[model.graph.inputs[0]].shape[3] != TOKEN_BYTES:
        return None
    for file in tensor.tables(TensorField.FILES):
        if file.byte(FileField.TYPE) == VOCABULARY:
            try:
                return vocabulary_of(_behind(model, file.text(FileField.NAME), "vocabulary"))
            except VocabularyError as error:
                raise ContractError(f"{METADATA_NAME}: {error}; make the file again") from error
    return None


def _behind(model: Model, name: str, what: str) -> bytes:
    """The content of an associated file.

    Raises:
      ContractError: it is not there; names it as `what`.
    """
    found = next((f.data for f in model.files if f.name == name), None)
    if found is None:
        raise ContractError(f"{METADATA_NAME}: {what} {name!r} is not behind the model")
    return found


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
        found = _behind(model, file.text(FileField.NAME), "label file")
        return clean_names(found.decode("utf-8", "replace").splitlines())
    return ()


def _own_tree(data: bytes) -> dict[str, Any]:
    """The entry `OWN_NAME`."""
    try:
        tree = parse_json(data.decode()) if data else {}
        if not isinstance(tree, dict):
            raise ValueError("expected an object")
    except ValueError as error:
        raise ContractError(f"{OWN_NAME}: {error}; make the file again") from error
    return tree


def _task(own: bytes) -> Task:
    name = _own_tree(own).get(TASK, CLASSIFICATION.name)
    if name not in TASKS:
        raise ContractError(
            f"{OWN_NAME}: got task {name!r}, expected one of {', '.join(TASKS)}; it may be of a "
            "newer version of this toolkit"
        )
    return TASKS[name]


def _with_own(found: Stated, data: bytes) -> Stated:
    """With the order of colors, the data set and the task of an entry `OWN_NAME`."""
    tree = _own_tree(data)
    order = tree.get(COLOR_ORDER, RGB)
    if order not in (RGB, BGR):
        raise ContractError(f"{OWN_NAME}: got color order {order!r}, expected {RGB} or {BGR}")
    return dataclasses.replace(
        found, color_order=order, trained_on=recorded_in(tree), task=_task(data)
    )
