# SPDX-License-Identifier: Apache-2.0
"""Examples of spoken digits in noise, of other words, and of noise alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keras_models.speech.spectrogram import RATE_HZ, Sound, spectrogram

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLASSES = (*DIGITS, "unknown", "noise")
_SIGNAL_TO_NOISE_DB = (0.0, 20.0)
_SILENT = 0.02  # of the loudest sample: what is quieter at both ends is cut off


def _noise(rng: np.random.Generator) -> Sound:
    """A second of noise between white and brown, of power 1."""
    frequency = np.maximum(np.fft.rfftfreq(RATE_HZ, 1.0 / RATE_HZ), 40.0)
    found = np.fft.irfft(np.fft.rfft(rng.normal(size=RATE_HZ)) / frequency ** rng.uniform(0, 1))
    result: Sound = found / np.std(found)
    return result


def _placed(word: Sound, rng: np.random.Generator) -> Sound:
    """A second with the word somewhere in it, of power 1 while it is spoken, with an echo."""
    loud = np.flatnonzero(np.abs(word) > _SILENT * np.abs(word).max())
    word = word[loud[0] : loud[-1] + 1][:RATE_HZ]
    word = word / (np.sqrt(np.mean(word**2)) + 1e-9)
    second = np.zeros(RATE_HZ)
    start = int(rng.integers(0, RATE_HZ - len(word) + 1))
    second[start : start + len(word)] = word
    delay, share = int(rng.integers(80, 1200)), rng.uniform(0, 0.4)
    second[delay:] += share * second[:-delay]
    return second


class Speaking(Protocol):
    """A voice, of a program or recorded."""

    @property
    def others(self) -> tuple[str, ...]:
        """Words that are no digits."""
        ...

    def say(self, word: str, rng: np.random.Generator) -> Sound:
        """The word at `RATE_HZ`."""
        ...


def example(label: int, speaker: Speaking, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A spectrogram of the class, with noise of 0 to 20 dB below it, at some loudness."""
    sound = _noise(rng) * 10 ** (-rng.uniform(*_SIGNAL_TO_NOISE_DB) / 20)
    if CLASSES[label] != "noise":
        unknown = CLASSES[label] == "unknown"
        others = speaker.others
        word = others[int(rng.integers(len(others)))] if unknown else DIGITS[label]
        sound = sound + _placed(speaker.say(word, rng), rng)
    return spectrogram(0.1 * sound / np.std(sound) * rng.uniform(0.3, 1.5))


def examples(
    speakers: Sequence[Speaking], takes: int, seed: tuple[int, ...]
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Each speaker with each class so many times: (spectrogram, label)."""
    rng = np.random.default_rng(seed)
    for speaker in speakers:
        for _ in range(takes):
            for label in range(len(CLASSES)):
                yield example(label, speaker, rng), label
