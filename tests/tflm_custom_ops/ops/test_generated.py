# SPDX-License-Identifier: Apache-2.0
"""The generated files are those of today's declarations."""

from pathlib import Path

import pytest

from tflm_custom_ops.ops.generate import generated_files
from tflm_custom_ops.ops.generate.files import same_text

ROOT = Path(__file__).resolve().parents[3]
FILES = generated_files(ROOT)


@pytest.mark.parametrize("name", list(FILES))
def test_checked_in_file_is_up_to_date(name):
    stored = (ROOT / name).read_text(encoding="utf-8")
    assert same_text(stored, FILES[name]), "run python -m tflm_custom_ops.ops.generate"
