# SPDX-License-Identifier: Apache-2.0
"""Recorded words of one person: the prompts of a telephone exchange, to check with.

Debian's asterisk-core-sounds-en-wav (CC-BY-SA-3.0): digits as `digits/0.wav` to `digits/9.wav`, and
among the others letters of the phonetic alphabet and larger numbers. Each is one recording; what
differs between two examples of it is noise, place and loudness.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from keras_models.speech.spectrogram import Sound
from keras_models.speech.synthesizer import SpeechError, samples
from keras_models.speech.words import DIGITS
from tflm_vit.files import read_bytes

_MOST_BYTES = 1 << 26  # of a word
FOLDER = "/usr/share/asterisk/sounds/en_US_f_Allison"
_NUMBERS = ("10", "11", "12", "20", "30", "40", "50", "hundred", "million", "minus")
_OTHERS = (
    *(os.path.join("digits", number) for number in _NUMBERS),
    *(os.path.join("phonetic", f"{letter}_p") for letter in "abcdefghijklmnopqrstuvwxyz"),
)


@dataclasses.dataclass(frozen=True)
class RecordedSpeaker:
    """A person, by the folder of the recordings."""

    folder: str = FOLDER

    @property
    def others(self) -> tuple[str, ...]:
        """Words that are no digits, by their files."""
        return _OTHERS

    def say(self, word: str, rng: np.random.Generator) -> Sound:
        """The word at `RATE_HZ`, always alike.

        Raises:
          SpeechError: there is no recording of it.
        """
        del rng
        name = os.path.join("digits", str(DIGITS.index(word))) if word in DIGITS else word
        path = os.path.join(self.folder, f"{name}.wav")
        try:
            return samples(read_bytes(path, _MOST_BYTES))
        except (OSError, EOFError, ValueError) as error:
            raise SpeechError(
                f"{path}: no recording: {error}; install Debian's asterisk-core-sounds-en-wav, or "
                "give its folder with --recordings"
            ) from error
