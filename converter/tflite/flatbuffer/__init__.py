# SPDX-License-Identifier: Apache-2.0
"""TFLite's schema as data, and objects of it read from and written to a flatbuffer.

`schema.json` says what tables there are and which fields they have; it is generated from the
classes that LiteRT ships (`python -m converter.tflite.flatbuffer.generate`), so that nothing but
flatbuffers is needed to read a file.
"""

from converter.tflite.flatbuffer.objects import schema
from converter.tflite.flatbuffer.pack import pack
from converter.tflite.flatbuffer.unpack import unpack

__all__ = ["pack", "schema", "unpack"]
