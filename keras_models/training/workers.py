# SPDX-License-Identifier: Apache-2.0
"""Batches made by processes of their own, some steps ahead of the training.

Each batch is what this process would have made, to the bit, so that the number of workers may
change between a kill and --resume. Workers know NumPy and the data set, no Keras: they start in a
second. A batch comes back through a pipe, some 80 MB of it for 128 images of 224 pixels.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from keras_models.datasets.core import DatasetError
from keras_models.training.making import Batch, BatchMaker

AHEAD = 2  # batches for each worker that are made or wait


class BatchWorkers:
    """Processes that make the batches of one training.

    Args:
      maker: what they make.
      workers: their number.
    """

    def __init__(self, maker: BatchMaker, workers: int) -> None:
        self._steps = len(maker)
        self._ahead = AHEAD * workers
        self._wanted: dict[tuple[int, int], Future[Batch]] = {}
        self._pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _begin, (maker,)
        )

    def get(self, epoch: int, index: int) -> Batch:
        """A batch; those behind it are begun.

        Raises:
          DatasetError: its files cannot be read, or a worker died.
        """
        try:
            for place in range(index, min(index + self._ahead, self._steps)):
                if (epoch, place) not in self._wanted:
                    self._wanted[epoch, place] = self._pool.submit(_make, epoch, place)
            for key in [key for key in self._wanted if key[0] != epoch]:
                self._wanted.pop(key).cancel()
            return self._wanted.pop((epoch, index)).result()
        except BrokenProcessPool as error:
            raise DatasetError(
                "a worker that makes batches died, perhaps for lack of memory: go on with --resume "
                "and fewer --workers"
            ) from error

    def close(self) -> None:
        """Ends the processes."""
        self._pool.shutdown(wait=True, cancel_futures=True)


# ---- in a worker ---------------------------------------------------------------------------------

_MAKER: BatchMaker | None = None


def _begin(maker: BatchMaker) -> None:
    global _MAKER
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    _MAKER = maker
    threading.Thread(target=_end_with_the_training, daemon=True).start()


def _end_with_the_training() -> None:
    """A training that is killed says nothing to its workers, which would wait for ever."""
    training = multiprocessing.parent_process()
    assert training is not None
    multiprocessing.connection.wait([training.sentinel])
    os._exit(1)


def _make(epoch: int, index: int) -> Batch:
    assert _MAKER is not None
    return _MAKER.make(epoch, index)
