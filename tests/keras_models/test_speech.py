# SPDX-License-Identifier: Apache-2.0
"""Spoken digits: the spectrogram, examples of a synthesizer that is not there, the data set."""

from __future__ import annotations

import dataclasses
import wave
from pathlib import Path

import numpy as np
import pytest

from keras_models.datasets import DatasetError, load_dataset
from keras_models.speech import synthesizer
from keras_models.speech.recorded import RecordedSpeaker
from keras_models.speech.spectrogram import BANDS, RATE_HZ, ROWS, spectrogram
from keras_models.speech.synthesizer import Speaker, SpeechError
from keras_models.speech.words import CLASSES, examples
from tests.commands import run_here


def tone(hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)


def test_a_tone_is_a_column_and_a_click_a_row() -> None:
    low, high = (spectrogram(tone(hz))[..., 0] for hz in (300.0, 2000.0))
    assert low.shape == (ROWS, BANDS)
    assert len(set(low[1:-1].argmax(axis=1))) == 1  # in every row the same band
    assert low[5].argmax() < high[5].argmax()
    click = np.zeros(RATE_HZ)
    click[4050] = 1.0  # in the steps 19 and 20, which see 256 samples
    rows = spectrogram(click)[..., 0].astype(int).sum(axis=1)
    assert set(np.flatnonzero(rows > rows.min())) == {19, 20}
    assert spectrogram(np.zeros(RATE_HZ)).max() == round(12 * (np.log(1e-6) + 14))


def test_a_row_needs_no_later_sound_than_its_own() -> None:
    """What a board that streams rows can compute."""
    sound = np.random.default_rng(0).normal(size=RATE_HZ)
    cut = sound.copy()
    cut[20 * 200 + 256 :] = 0.0
    np.testing.assert_array_equal(spectrogram(sound)[:21], spectrogram(cut)[:21])


@dataclasses.dataclass(frozen=True)
class Hum:
    """Says every word as a tone of its own."""

    others: tuple[str, ...] = ("yes", "no")

    def say(self, word: str, rng: np.random.Generator) -> np.ndarray:
        del rng
        return tone(300.0 + 40 * len(word))[:3000]


def test_examples_follow_from_the_seed() -> None:
    first, again, other = (list(examples([Hum()], 2, seed)) for seed in ((0, 1), (0, 1), (0, 2)))
    assert [label for _, label in first] == 2 * list(range(len(CLASSES)))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True))
    assert not np.array_equal(first[0][0], other[0][0])
    assert all(image.shape == (ROWS, BANDS, 1) and image.dtype == np.uint8 for image, _ in first)


def test_a_synthesizer_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpeechError, match="flite: no such program; install Debian's flite"):
        Speaker(synthesizer.FLITE, "slt").say("one", np.random.default_rng(0))
    done = run_here("keras_models.speak_words", f"--out={tmp_path}/out")
    assert done.returncode == 1
    assert "espeak-ng: no such program; install Debian's espeak-ng" in done.stderr


def write_wave(path: Path, sound: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((sound * 20000).astype("<i2").tobytes())


def test_recorded_words(tmp_path: Path) -> None:
    words = ("keras_models.speak_words", "--synthesizer=recorded", f"--out={tmp_path}/out",
             f"--recordings={tmp_path}", "--takes=2")  # fmt: skip
    missing = run_here(*words)
    assert "digits/0.wav: no recording: " in missing.stderr
    assert "install Debian's asterisk-core-sounds-en-wav, or give its folder" in missing.stderr
    assert not (tmp_path / "out" / "test.npz").exists()
    speaker = RecordedSpeaker(str(tmp_path))
    for number in range(10):
        write_wave(tmp_path / "digits" / f"{number}.wav", tone(300.0 + 100 * number)[:4000])
    for word in speaker.others:
        write_wave(tmp_path / f"{word}.wav", tone(3000.0)[:2000])
    heard = speaker.say("two", np.random.default_rng(0))
    np.testing.assert_allclose(heard, tone(500.0)[: len(heard)] * 20000 / 32768, atol=1e-4)
    done = run_here(*words)
    assert done.returncode == 0, done.stderr
    data = load_dataset("spoken_digits", str(tmp_path / "out"), image_size=40, channels=1)
    assert data.test.labels().tolist() == 2 * list(range(12))
    assert len(data.train) == 0


def test_the_data_set(tmp_path: Path) -> None:
    images, labels = (np.stack(part) for part in zip(*examples([Hum()], 1, (0,)), strict=True))
    np.savez(tmp_path / "test.npz", spectrograms=images, labels=labels)
    data = load_dataset("spoken_digits", str(tmp_path), image_size=40, channels=1)
    assert data.class_names == CLASSES
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [0, 0, 12]
    np.testing.assert_array_equal(data.test.labels(), np.arange(12))
    with pytest.raises(DatasetError, match="take a network for 40 and 1"):
        load_dataset("spoken_digits", str(tmp_path), image_size=32, channels=1)
    with pytest.raises(DatasetError, match=r"speak_words --out=FOLDER makes one"):
        load_dataset("spoken_digits", image_size=40, channels=1)
    for kept, missing in (("test", "train, validation"), ("train", "validation")):
        np.savez(tmp_path / f"{kept}.npz", spectrograms=images, labels=labels)
        done = run_here("keras_models.train", "--task=keywords", "--network=keywords_cnn_40",
                        f"--data_dir={tmp_path}", f"--out={tmp_path}/out")  # fmt: skip
        assert f"has nothing to train with: no examples of {missing}; give" in done.stderr
    np.savez(tmp_path / "train.npz", spectrograms=images, labels=labels + 1)
    with pytest.raises(DatasetError, match=r"train\.npz: .*labels: got 1 to 12, expected 0 to 11"):
        load_dataset("spoken_digits", str(tmp_path), image_size=40, channels=1)
