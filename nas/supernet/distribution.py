# SPDX-License-Identifier: Apache-2.0
"""Training on several devices or machines through `tf.distribute`.

Every process prepares the whole batch (the same seed gives the same batch) and each replica takes
its share of it, so that the step is the one that a single process would do: gradients are averaged,
then clipped; batch normalization uses the statistics of the whole batch. TensorFlow backend only.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from nas.supernet.cluster import Cluster, DistributionError, read_cluster

KINDS = ("none", "mirrored", "multi_worker")
START_TIMEOUT = 600.0  # seconds that a worker waits for the others to start


class Distribution:
    """One process, as it is.

    Attributes:
      kind: one of `KINDS`.
      replicas: how many parts a batch has.
      chief: whether this process evaluates, reports and writes files.
    """

    kind = "none"
    replicas = 1
    chief = True

    def scope(self) -> Any:
        """Variables of model and optimizer are made within it."""
        return contextlib.nullcontext()

    def prepare(self, optimizer: Any) -> None:
        """Called once with the optimizer of the training."""

    def check_batch(self, size: int) -> None:
        """Raises DistributionError for a batch without equal shares."""

    def share(self, values: NDArray[Any] | None) -> Any:
        """A batch as an argument of `run`."""
        import tensorflow as tf

        return None if values is None else tf.constant(values)

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Calls `function` on every replica, with its shares."""
        return function(*arguments)

    def mean(self, values: list[Any]) -> list[Any]:
        """Within `run`: the mean of the replicas' values, on each."""
        return values

    def local(self, value: Any) -> Any:
        """One of the equal results that `run` gave."""
        return value

    def agree(self, setup: str) -> None:
        """Raises DistributionError if another process does another job."""

    def from_chief(self, variables: list[Any]) -> None:
        """Gives all processes the chief's values."""

    def number_of_chief(self, number: int) -> int:
        """The chief's number."""
        return number

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Turns what happens when another process ends into a DistributionError."""
        yield


class Replicated(Distribution):
    """Replicas of a `tf.distribute` strategy, on one machine or on several."""

    def __init__(self, kind: str, strategy: Any, cluster: Cluster | None = None) -> None:
        self.kind, self.strategy, self.cluster = kind, strategy, cluster
        self.replicas = int(strategy.num_replicas_in_sync)
        self.chief = cluster is None or cluster.chief

    def scope(self) -> Any:
        return self.strategy.scope()

    def prepare(self, optimizer: Any) -> None:
        # Keras clips each replica's own gradient and adds up the clipped ones. Here gradients reach
        # the optimizer averaged, are clipped as one process would clip them, and not added again.
        name = "_all_reduce_sum_gradients"
        if not hasattr(type(optimizer), name):
            import keras

            raise DistributionError(
                f"keras {keras.__version__}: {type(optimizer).__name__} has no {name}; expected "
                "the version that pyproject.toml names"
            )
        setattr(optimizer, name, lambda pairs: pairs)

    def check_batch(self, size: int) -> None:
        if size % self.replicas:
            raise DistributionError(
                f"batch_size: got {size}, expected a multiple of the {self.replicas} replicas"
            )

    def share(self, values: NDArray[Any] | None) -> Any:
        import tensorflow as tf

        if values is None:
            return None
        size = len(values) // self.replicas

        def part(context: Any) -> Any:
            start = context.replica_id_in_sync_group * size
            return tf.constant(values[start : start + size])

        return self.strategy.experimental_distribute_values_from_function(part)

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return self.strategy.run(function, args=arguments)

    def mean(self, values: list[Any]) -> list[Any]:
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        scaled = [value / self.replicas for value in values]
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, scaled))

    def local(self, value: Any) -> Any:
        return self.strategy.experimental_local_results(value)[0]

    def agree(self, setup: str) -> None:
        found = self._gather(zlib.crc32(setup.encode()))
        different = [i for i, value in enumerate(found) if value != found[0]]
        if different:
            raise DistributionError(
                f"replicas {different} were started with other settings than replica 0; expected "
                "the same flags, versions and data on all workers"
            )

    def number_of_chief(self, number: int) -> int:
        return self._gather(number)[0]

    def _gather(self, number: int) -> list[int]:
        """Every replica's number."""
        import tensorflow as tf

        @tf.function  # type: ignore[untyped-decorator]
        def collect() -> Any:
            def replica() -> Any:
                context = tf.distribute.get_replica_context()
                mine = tf.one_hot(context.replica_id_in_sync_group, self.replicas, dtype=tf.int64)
                return context.all_reduce(tf.distribute.ReduceOp.SUM, mine * number)

            return self.strategy.run(replica)

        return [int(value) for value in self.local(collect()).numpy()]

    def from_chief(self, variables: list[Any]) -> None:
        if self.cluster is None:  # one process has loaded them into all its replicas
            return
        for kind in sorted({str(v.dtype) for v in variables}):  # a reduction has one type
            part = [v for v in variables if str(v.dtype) == kind]
            for variable, value in zip(part, self._of_first(part), strict=True):
                variable.assign(value)

    def _of_first(self, variables: list[Any]) -> list[Any]:
        """Values of variables of one type in the first replica."""
        import tensorflow as tf

        values = [getattr(v, "value", v) for v in variables]

        @tf.function  # type: ignore[untyped-decorator]
        def collect() -> Any:
            def replica() -> Any:
                context = tf.distribute.get_replica_context()
                first = tf.equal(context.replica_id_in_sync_group, 0)
                mine = [tf.where(first, v, tf.zeros_like(v)) for v in values]
                return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

            return self.strategy.run(replica)

        return [self.local(value) for value in collect()]

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        import tensorflow as tf

        if self.cluster is None:
            yield
            return
        gone = (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
            tf.errors.InternalError,
            tf.errors.FailedPreconditionError,  # a worker that was started anew
        )
        try:
            yield
        except gone as error:
            raise DistributionError(
                "another worker ended or cannot be reached; start all workers again with --resume "
                f"({type(error).__name__}: {_reason(str(error.message))})"
            ) from error


def _reason(message: str) -> str:
    """The line of TensorFlow's message that says what happened to the connection."""
    lines = [line.strip() for line in message.splitlines() if line.strip()] or ["no message"]
    words = ("connection", "socket", "peer", "unavailable", "heartbeat", "timed out", "incarnation")
    found = (line for line in lines if any(word in line.lower() for word in words))
    return next(found, lines[0])[:160]


def make_distribution(kind: str, start_timeout: float = START_TIMEOUT) -> Distribution:
    """The replicas that a kind asks for. To be called before TensorFlow computes anything.

    Args:
      kind: "none", "mirrored" (all GPUs of this machine; without one, all logical CPU devices) or
        "multi_worker" (the processes of TF_CONFIG).
      start_timeout: seconds after which a worker that still waits for others ends the process.

    Raises:
      DistributionError: backend or TF_CONFIG do not allow it.
    """
    if kind not in KINDS:
        raise DistributionError(f"distribution: got {kind!r}, expected one of {', '.join(KINDS)}")
    if kind == "none":
        return Distribution()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise DistributionError(
            f"--distribution={kind}: got KERAS_BACKEND={keras.backend.backend()}, expected "
            "tensorflow"
        )
    import tensorflow as tf

    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Replicated(kind, tf.distribute.MirroredStrategy([d.name for d in devices]))
    cluster = read_cluster(os.environ.get("TF_CONFIG"))
    with _deadline(start_timeout, cluster):
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Replicated(kind, strategy, cluster)


@contextlib.contextmanager
def _deadline(seconds: float, cluster: Cluster) -> Iterator[None]:
    """Ends the process if its body takes longer: `tf.distribute` waits for workers for ever."""

    def end() -> None:
        print(
            f"nas.train_supernet: {', '.join(cluster.others)}: not all answered within "
            f"{seconds:g} s; start all workers, check TF_CONFIG and --start_timeout",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)  # the main thread is inside TensorFlow and cannot be interrupted

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
