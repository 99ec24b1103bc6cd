# SPDX-License-Identifier: Apache-2.0
"""NumPy runs on one core inside, and as before outside, errors included."""

from __future__ import annotations

import pytest

from converter.fuse.gate import one_blas_thread, threads


def test_one_thread_inside_and_as_before_outside() -> None:
    calls = threads._calls()
    if calls is None:
        pytest.skip("NumPy has another BLAS here")
    get, put = calls
    before = get()
    try:
        put(2)
        with one_blas_thread():
            assert get() == 1
        assert get() == 2
        with pytest.raises(ValueError, match="inside"), one_blas_thread():
            raise ValueError("inside")
        assert get() == 2
    finally:
        put(before)


def test_without_that_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_calls", lambda: None)
    with one_blas_thread():
        pass
