# SPDX-License-Identifier: Apache-2.0
"""Programs that speak: espeak-ng in many voices, and flite in four, to check with."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import tempfile
import wave

import numpy as np

from keras_models.speech.spectrogram import RATE_HZ, Sound

ESPEAK, FLITE = "espeak", "flite"
SYNTHESIZERS = (ESPEAK, FLITE)
# Words that are no digits.
OTHERS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "hundred", "star",
          "pound", "minus", "today", "hello", "house", "window", "table", "music", "lamp", "green",
          "seventy", "record", "cancel", "under", "water", "happy", "seventeen")  # fmt: skip
_FLITE_VOICES = ("kal16", "awb", "rms", "slt")
_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029")
# Variants that are not like a person.
_ODD = ("robo", "Robot", "Demonic", "croak", "whisper", "Storm", "serious", "fast", "klatt",
        "Tweaky")  # fmt: skip


class SpeechError(ValueError):
    """A synthesizer is missing or fails; the message says what to install."""


def _run(words: list[str]) -> bytes:
    try:
        return subprocess.run(words, capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise SpeechError(f"{words[0]}: no such program; install Debian's {words[0]}") from error
    except subprocess.CalledProcessError as error:
        text = error.stderr.decode(errors="replace").strip()
        raise SpeechError(f"{words[0]}: status {error.returncode}: {text[:200]}") from error


def samples(content: bytes) -> Sound:
    """A wave file of 16 bits as sound at `RATE_HZ`."""
    with wave.open(io.BytesIO(content)) as file:
        rate = file.getframerate()
        # espeak-ng does not know the length of what it writes to a pipe: all that is there.
        data = content[content.index(b"data") + 8 :]
    sound = np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32768.0
    # What is above the half of the new rate goes: a moving mean, then linear between samples.
    width = max(1, round(rate / RATE_HZ))
    smooth = np.convolve(sound, np.ones(width) / width, "same")
    places = np.arange(0, len(sound) - 1, rate / RATE_HZ)
    return np.interp(places, np.arange(len(sound)), smooth)


def voices_of(synthesizer: str) -> tuple[str, ...]:
    """Names of voices, in order.

    Raises:
      SpeechError: the synthesizer is not there.
    """
    if synthesizer == FLITE:
        return _FLITE_VOICES
    listed = _run(["espeak-ng", "--voices=variant"]).decode(errors="replace").splitlines()[1:]
    files = (line.split("!v/")[-1].split("  ")[0].strip() for line in listed if "!v/" in line)
    return tuple(sorted(f for f in files if " " not in f and not any(odd in f for odd in _ODD)))


@dataclasses.dataclass(frozen=True)
class Speaker:
    """A voice of a synthesizer."""

    synthesizer: str
    voice: str

    @property
    def others(self) -> tuple[str, ...]:
        """Words that are no digits."""
        return OTHERS

    def say(self, word: str, rng: np.random.Generator) -> Sound:
        """The word at `RATE_HZ`; speed, pitch and accent are drawn where the synthesizer has them.

        Raises:
          SpeechError: it does not speak.
        """
        if self.synthesizer == FLITE:
            handle, path = tempfile.mkstemp(".wav")
            os.close(handle)
            try:
                _run(["flite", "-voice", self.voice, "-t", word, "-o", path])
                with open(path, "rb") as file:
                    return samples(file.read())
            finally:
                os.remove(path)
        name = f"{_ACCENTS[int(rng.integers(len(_ACCENTS)))]}+{self.voice}"
        speed, pitch = str(rng.integers(110, 230)), str(rng.integers(15, 86))
        return samples(_run(["espeak-ng", "-v", name, "-s", speed, "-p", pitch, "--stdout", word]))
