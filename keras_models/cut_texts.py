# SPDX-License-Identifier: Apache-2.0
"""Cuts texts for language and topic: `python -m keras_models.cut_texts --of=pages --out=DIR`.

Writes train.npz, validation.npz and test.npz. --of=pages: 36 bytes from a word's start of manual
pages in twelve languages (Debian's manpages, manpages-dev and manpages-XX), as many of each;
--of=definitions: the definitions of nouns of WordNet (Debian's wordnet-base) in thirteen topics.
--of=page_pieces and --of=definition_pieces: the same texts as sub-words of a vocabulary that is
learnt from the training split (vocab.txt).
No page and no definition is in two splits; what pages have in common, word for word, may be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from keras_models.datasets import DatasetError
from keras_models.datasets.made import (
    SPLITS,
    making,
    split_file,
    write_split,
    write_vocabulary,
)
from keras_models.datasets.texts import (
    KEYS,
    LANGUAGE_BYTES,
    LANGUAGE_PIECES,
    PAGE_BYTES,
    TOPIC_BYTES,
    TOPIC_PIECES,
)
from keras_models.text.definitions import TOPICS, definitions
from keras_models.text.manpages import LANGUAGES, is_text, pages, paragraphs
from keras_models.text.pieces import as_square, split_of, window
from keras_models.text.subwords import learn
from tflm_vit import flags
from tflm_vit.files import expect_writable_folder, reading
from tflm_vit.run import run

FLAGS = flags.FlagSet("cut_texts", __doc__)
_PAGES = {"pages": LANGUAGE_BYTES, "page_pieces": LANGUAGE_PIECES}
_DEFINITIONS = {"definitions": TOPIC_BYTES, "definition_pieces": TOPIC_PIECES}
_SQUARES = {**_PAGES, **_DEFINITIONS}
FLAGS.enum("of", "pages", tuple(_SQUARES), "What is cut.")
FLAGS.string("manpages", "/usr/share/man", "Folder of the manual pages.")
FLAGS.string("wordnet", "/usr/share/wordnet", "Folder with WordNet's data.noun.")
flags.out(FLAGS, "Folder of the data set.")
flags.seed(FLAGS, "Of places in paragraphs and of the choice among them.")
FLAGS.integer("each", 4000, "Texts of each class in the training split; a tenth elsewhere.", 10)
_SMALLER = 10
_PIECES = 4  # of a paragraph in the training split

Found = dict[str, list[list[bytes]]]  # texts by split and class


def _of_pages() -> Found:
    rng = np.random.default_rng(FLAGS.seed)
    found: Found = {split: [[] for _ in LANGUAGES] for split in SPLITS}
    for label, language in enumerate(LANGUAGES):
        seen = set()
        for name, source in pages(FLAGS.manpages, language):
            for text in paragraphs(source):
                if text not in seen and is_text(text, language):
                    seen.add(text)
                    split = split_of(name)
                    pieces = _PIECES if split == "train" else 1
                    for _ in range(pieces):
                        piece = window(text.encode(), PAGE_BYTES, rng)
                        found[split][label].append(piece)
        if not seen:
            raise DatasetError(
                f"{FLAGS.manpages}: no pages in {language}; install Debian's manpages-"
                f"{'dev' if language == 'en' else language.lower().replace('_', '-')}"
            )
    return found


def _of_definitions() -> Found:
    found: Found = {split: [[] for _ in TOPICS] for split in SPLITS}
    path = os.path.join(FLAGS.wordnet, "data.noun")
    with reading(path, "WordNet's nouns", DatasetError), open(path, encoding="latin-1") as file:
        for text, topic in definitions(iter(file)):
            found[split_of(text)][topic].append(text.encode())
    return found


def _chosen(
    texts: list[list[bytes]], each: int, seed: tuple[int, int]
) -> Iterator[tuple[bytes, int]]:
    rng = np.random.default_rng(seed)
    rows = [
        (texts[label][i], label)
        for label in range(len(texts))
        for i in rng.permutation(len(texts[label]))[:each]
    ]
    for place in rng.permutation(len(rows)):
        yield rows[place]


def _expect_texts(found: Found, names: Sequence[str]) -> None:
    """Refuses a class without texts in a split.

    Raises:
      DatasetError: one line that names the first.
    """
    where = FLAGS.manpages if FLAGS.of in _PAGES else FLAGS.wordnet
    for split in SPLITS:
        for name, texts in zip(names, found[split], strict=True):
            if not texts:
                raise DatasetError(
                    f"{where}: no text of {name} falls into the {split} split: give the whole of "
                    "the Debian packages' files"
                )


def _body() -> None:
    expect_writable_folder(FLAGS.out)
    found = _of_pages() if FLAGS.of in _PAGES else _of_definitions()
    _expect_texts(found, LANGUAGES if FLAGS.of in _PAGES else TOPICS)
    rows = {split: _rows(found[split], number, split) for number, split in enumerate(SPLITS)}
    square, cut = _SQUARES[FLAGS.of], as_square
    with making(FLAGS.out) as work:
        if square.vocabulary:
            vocabulary = learn((text for text, _ in rows["train"]), square.vocabulary)
            write_vocabulary(work, vocabulary)
            cut = vocabulary.square
        for split, texts in rows.items():
            made = ((cut(text, square.side), np.uint8(label)) for text, label in texts)
            write_split(work, split, KEYS, made, len(texts))
    for split, texts in rows.items():
        print(f"wrote {split_file(FLAGS.out, split)}: {len(texts)} texts")


def _rows(texts: list[list[bytes]], number: int, split: str) -> list[tuple[bytes, int]]:
    each = FLAGS.each if split == "train" else max(1, FLAGS.each // _SMALLER)
    return list(_chosen(texts, each, (FLAGS.seed, number)))


def main(argv: Sequence[str] | None = None) -> None:
    """Cuts as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
