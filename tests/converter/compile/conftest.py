# SPDX-License-Identifier: Apache-2.0
"""One cache of host libraries per test session's worker, outside the user's."""

from __future__ import annotations

import pytest

from toolchain import VARIABLE


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory: pytest.TempPathFactory):
    patch = pytest.MonkeyPatch()
    patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("host_cache")))
    yield
    patch.undo()
