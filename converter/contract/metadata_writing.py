# SPDX-License-Identifier: Apache-2.0
"""A contract into the entry TFLITE_METADATA of a file, and its label file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from converter.contract.classifier import check_pixels, image_and_output
from converter.contract.contract import BGR, RGB, Contract, clean_names
from converter.contract.flat import FlatWriter
from converter.contract.metadata_fields import (
    AXIS_LABELS,
    COLOR_ORDER,
    FEATURE_PROPERTIES,
    IDENTIFIER,
    IMAGE_PROPERTIES,
    LABEL_FILE,
    NORMALIZATION_OPTIONS,
    OWN_NAME,
    PARSER_VERSION,
    QUESTION_MEANING,
    SPACE_GRAYSCALE,
    SPACE_RGB,
    SPACE_UNKNOWN,
    TASK,
    VOCABULARY,
    VOCABULARY_FILE,
    ContentField,
    FileField,
    ImageField,
    ModelField,
    PairField,
    SizeField,
    SubgraphField,
    TensorField,
    UnitField,
)
from converter.tflite import METADATA_NAME, AssociatedFile, Metadata, Model, Tensor
from keras_models.datasets.identity import RECORD
from keras_models.tasks import CLASSIFICATION, Task


def with_contract(model: Model, contract: Contract) -> Model:
    """The model with a contract instead of the one it had.

    Raises:
      ContractError: a model without one image in (and a question where the task has one) and one
        tensor out, or a contract for another number of channels or classes.
    """
    image, output = image_and_output(model, contract.task.asked is not None)
    check_pixels(model, image)
    contract.check(image.shape[-1], output.shape)
    contract = dataclasses.replace(contract, class_names=clean_names(contract.class_names))
    kept = tuple(m for m in model.metadata if m.name not in (METADATA_NAME, OWN_NAME))
    added = [Metadata(METADATA_NAME, _encode(model, image, output, contract))]
    own = _encode_own(contract)
    if own:
        added.append(Metadata(OWN_NAME, own))
    replaced = (LABEL_FILE,) if contract.vocabulary is None else (LABEL_FILE, VOCABULARY_FILE)
    files = tuple(f for f in model.files if f.name not in replaced)
    if contract.class_names:
        text = "".join(f"{name}\n" for name in contract.class_names)
        files += (AssociatedFile(LABEL_FILE, text.encode()),)
    if contract.vocabulary is not None:
        files += (AssociatedFile(VOCABULARY_FILE, contract.vocabulary.file()),)
    return dataclasses.replace(model, metadata=(*kept, *added), files=files)


def _encode_own(contract: Contract) -> bytes:
    """What the schema cannot say, as JSON; nothing where there is nothing."""
    tree: dict[str, Any] = {}
    if contract.color_order != RGB:
        tree[COLOR_ORDER] = contract.color_order
    if contract.task is not CLASSIFICATION:
        tree[TASK] = contract.task.name
    if contract.trained_on is not None:
        tree[RECORD] = dataclasses.asdict(contract.trained_on)
    return json.dumps(tree, sort_keys=True).encode() if tree else b""


def _encode(model: Model, image: Tensor, output: Tensor, contract: Contract) -> bytes:
    writer = FlatWriter()
    others = [model.graph.tensors[i] for i in model.graph.inputs[1:]]
    questions = [_question(writer, tensor, contract) for tensor in others]
    inputs = writer.vector([_image(writer, image, contract), *questions])
    outputs = writer.vector([_classes(writer, output, contract)])
    subgraph = writer.table([(SubgraphField.INPUTS, inputs), (SubgraphField.OUTPUTS, outputs)])
    root = writer.table(
        [
            (ModelField.NAME, writer.text(model.description or _name(contract.task))),
            (ModelField.SUBGRAPHS, writer.vector([subgraph])),
            (ModelField.MIN_PARSER_VERSION, writer.text(PARSER_VERSION)),
        ]
    )
    return writer.finish(root, IDENTIFIER)


def _name(task: Task) -> str:
    """Of a model that has none."""
    return "image classifier" if task is CLASSIFICATION else task.name


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
    places = [
        (TensorField.NAME, writer.text(image.name)),
        (TensorField.CONTENT, content),
        (TensorField.PROCESS_UNITS, writer.vector([unit])),
        (TensorField.STATS, _pair(writer, (high,), (low,))),
    ]
    if contract.vocabulary is not None:
        places.append((TensorField.FILES, _file(writer, VOCABULARY_FILE, VOCABULARY)))
    return writer.table(places)


def _file(writer: FlatWriter, name: str, kind: int) -> int:
    """One that lies behind the model."""
    file = writer.table([(FileField.NAME, writer.text(name))], small=[(FileField.TYPE, kind)])
    return writer.vector([file])


def _question(writer: FlatWriter, tensor: Tensor, contract: Contract) -> int:
    """Bytes that are scaled as the image's."""
    content = writer.table(
        [(ContentField.PROPERTIES, writer.table())],
        small=[(ContentField.TYPE, FEATURE_PROPERTIES)],
    )
    low, high = contract.normalization.ends
    return writer.table(
        [
            (TensorField.NAME, writer.text(tensor.name)),
            (TensorField.DESCRIPTION, writer.text(QUESTION_MEANING)),
            (TensorField.CONTENT, content),
            (TensorField.STATS, _pair(writer, (high,), (low,))),
        ]
    )


def _classes(writer: FlatWriter, output: Tensor, contract: Contract) -> int:
    content = writer.table(
        [(ContentField.PROPERTIES, writer.table())],
        small=[(ContentField.TYPE, FEATURE_PROPERTIES)],
    )
    places = [(TensorField.NAME, writer.text(output.name)), (TensorField.CONTENT, content)]
    if contract.task is not CLASSIFICATION:
        places.append((TensorField.DESCRIPTION, writer.text(contract.task.meaning)))
    if contract.class_names:
        places.append((TensorField.FILES, _file(writer, LABEL_FILE, AXIS_LABELS)))
    return writer.table(places)


def _pair(writer: FlatWriter, first: tuple[float, ...], second: tuple[float, ...]) -> int:
    places = [(PairField.FIRST, writer.floats(first)), (PairField.SECOND, writer.floats(second))]
    return writer.table(places)
