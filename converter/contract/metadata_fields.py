# SPDX-License-Identifier: Apache-2.0
"""TFLite Metadata as far as a contract needs it, and what it cannot say.

The fields are those of metadata_schema.fbs (tflite-support, file identifier M001), so that other
tools read them. What that schema cannot say, the order BGR, the task and the data set of the
training, is an entry of its own.
"""

from __future__ import annotations

import enum

COLOR_ORDER = "color_order"  # in the entry OWN_NAME
TASK = "task"  # there too; a classifier has none
IDENTIFIER = b"M001"
QUESTION_MEANING = "code of a question: bytes, 0 or 255, scaled as those of the image"
OWN_NAME = "VitContract"
LABEL_FILE = "labels.txt"
VOCABULARY_FILE = "vocab.txt"
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
AXIS_LABELS, VALUE_LABELS, VOCABULARY = 2, 3, 5  # enum AssociatedFileType
