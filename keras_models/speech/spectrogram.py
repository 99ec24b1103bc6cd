# SPDX-License-Identifier: Apache-2.0
"""A second of sound as a picture of bytes: a row for each 25 ms, a column for each band.

This is the front end that a board needs too: rows come one after another, as from a microphone.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
ROWS = 40
BANDS = 40
STEP = RATE_HZ // ROWS  # samples from one row to the next
WINDOW = 256  # samples of a row
_LOW_HZ, _HIGH_HZ = 60.0, 3900.0
# A byte is STEPS * (ln(energy of the band + 1e-6) + OFFSET), rounded, 0 to 255.
STEPS, OFFSET = 12.0, 14.0
_FLOOR = 1e-6

Sound = NDArray[np.float64]  # -1 to 1


def _mel(hz: NDArray[np.floating]) -> Sound:
    found: Sound = 2595.0 * np.log10(1.0 + hz / 700.0)
    return found


@functools.cache
def _bands() -> Sound:
    """Weights (frequencies, bands) of triangles that are equally wide in mel."""
    frequency = _mel(np.fft.rfftfreq(WINDOW, 1.0 / RATE_HZ))[:, None]
    low, high = _mel(np.array([_LOW_HZ, _HIGH_HZ]))
    edges = np.linspace(low, high, BANDS + 2)
    width = edges[1] - edges[0]
    rising, falling = (frequency - edges[:-2]) / width, (edges[2:] - frequency) / width
    found: Sound = np.maximum(0.0, np.minimum(rising, falling))
    return found


def spectrogram(sound: Sound) -> NDArray[np.uint8]:
    """A second (RATE_HZ samples) as bytes (ROWS, BANDS, 1)."""
    padded = np.pad(sound, (0, WINDOW - STEP))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    power = np.abs(np.fft.rfft(pieces * np.hanning(WINDOW))) ** 2
    value = STEPS * (np.log(power @ _bands() + _FLOOR) + OFFSET)
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)[..., None]
