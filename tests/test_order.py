# SPDX-License-Identifier: Apache-2.0
"""The files that a run begins with are there."""

from pathlib import Path

from tests.conftest import LONG_FILES


def test_long_files_exist() -> None:
    missing = [name for name in LONG_FILES if not (Path(__file__).parent / name).is_file()]
    assert not missing
