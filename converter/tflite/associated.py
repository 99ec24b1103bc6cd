# SPDX-License-Identifier: Apache-2.0
"""Files behind the flatbuffer of a `.tflite`: a zip archive of stored members, as TFLite Metadata
has it ("Add metadata to LiteRT models": associated files). Flatbuffer readers do not see it, and
`unzip` lists it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from converter.tflite.model import AssociatedFile, TfliteError

MAX_FILE_BYTES = 1 << 24
MAX_FILES = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files give the same bytes


def with_files(content: bytes, files: Sequence[AssociatedFile]) -> bytes:
    """A flatbuffer with files behind it; the flatbuffer itself where there are none."""
    if not files:
        return content
    stream = io.BytesIO()
    stream.write(content)
    with zipfile.ZipFile(stream, "a") as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.name, _EPOCH), file.data)
    return stream.getvalue()


def associated_files(content: bytes) -> tuple[AssociatedFile, ...]:
    """The files behind a flatbuffer; none where no archive is.

    Raises:
      TfliteError: a damaged archive, or one of more or larger files than anybody's labels.
    """
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return ()
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            largest = max((info.file_size for info in members), default=0)
            if len(members) > MAX_FILES or largest > MAX_FILE_BYTES:
                raise TfliteError(
                    f"got {len(members)} associated files, the largest of {largest} bytes, "
                    f"expected at most {MAX_FILES} of {MAX_FILE_BYTES}"
                )
            # Reading compares each with its checksum, and takes no more than the size that it says.
            return tuple(AssociatedFile(info.filename, archive.read(info)) for info in members)
    except TfliteError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged archives
        raise TfliteError(
            f"the archive of associated files is damaged ({error}); make the file again"
        ) from error
