# SPDX-License-Identifier: Apache-2.0
"""Makes the data set of spoken digits: `python -m keras_models.speak_words --out=DIR`.

Writes train.npz, validation.npz and test.npz: spectrograms of a second, of ten digits, other words
and noise, which follow from --seed and the synthesizer's version. No voice is in two of them, but
one synthesizer makes them all, which flatters: --synthesizer=flite makes a test split of another,
--synthesizer=recorded one of a person's words (Debian's asterisk-core-sounds-en-wav). Needs
Debian's espeak-ng, or flite.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_models.datasets.made import SPLITS, making, split_file, write_split
from keras_models.datasets.speech import KEYS
from keras_models.speech.recorded import FOLDER, RecordedSpeaker
from keras_models.speech.synthesizer import ESPEAK, SYNTHESIZERS, Speaker, voices_of
from keras_models.speech.words import CLASSES, Speaking, examples
from tflm_vit import flags
from tflm_vit.run import run

RECORDED = "recorded"

FLAGS = flags.FlagSet("speak_words", __doc__)
flags.out(FLAGS, "Folder of the data set.")
flags.seed(FLAGS, "Of words, speeds, pitches and noise.")
FLAGS.enum("synthesizer", ESPEAK, (*SYNTHESIZERS, RECORDED), "What speaks.")
FLAGS.string("recordings", FOLDER, "Folder of recorded words, for --synthesizer=recorded.")
FLAGS.integer("takes", 8, "Times that each voice says each class.", 1)
_PERIOD = 5  # of five voices one is for the test, and one of the next for validation


def _speakers(split: str) -> list[Speaking]:
    if FLAGS.synthesizer == RECORDED:
        return [RecordedSpeaker(FLAGS.recordings)]
    voices = voices_of(FLAGS.synthesizer)
    held = {"test": 0, "validation": 1}
    places = range(len(voices))
    if FLAGS.synthesizer != ESPEAK:
        chosen: Sequence[str] = voices
    elif split in held:
        chosen = [voices[i] for i in places if i % _PERIOD == held[split]]
    else:
        chosen = [voices[i] for i in places if i % _PERIOD not in held.values()]
    return [Speaker(FLAGS.synthesizer, voice) for voice in chosen]


def _body() -> None:
    speakers = {s: _speakers(s) for s in (SPLITS if FLAGS.synthesizer == ESPEAK else ("test",))}
    with making(FLAGS.out) as work:
        for split, voices in speakers.items():
            made = examples(voices, FLAGS.takes, (FLAGS.seed, SPLITS.index(split)))
            write_split(work, split, KEYS, made, len(voices) * FLAGS.takes * len(CLASSES))
    for split, voices in speakers.items():
        print(f"wrote {split_file(FLAGS.out, split)}: {len(voices)} voices")


def main(argv: Sequence[str] | None = None) -> None:
    """Speaks as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
