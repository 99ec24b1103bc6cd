# SPDX-License-Identifier: Apache-2.0
"""Our side of `benchmarks.supernet_speed`; speaks as `autoformer.py` does."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_models.training.distillation import Objective
    from nas.space import Patch, SearchSpace, SubnetConfig
    from nas.supernet.compiled import Steps
    from nas.supernet.make import make_supernet

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    job = json.loads(sys.stdin.readline())
    space = SearchSpace(
        name="autoformer",
        image_size=job["image_size"],
        num_classes=job["classes"],
        patches=(Patch(job["patch"]),),
        embed_dim=tuple(job["widths"]),
        depth=tuple(job["depths"]),
        heads=tuple(job["head_choices"]),
        mlp_ratio=tuple(job["mlp_ratios"]),
        pool="patches",
        relative_position=14 if job["relative"] else 0,
    )
    net = make_supernet(space, 0)
    optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.05, global_clipnorm=1.0)
    steps = Steps(net, optimizer, Objective(0.1))
    rng, size = np.random.default_rng(0), job["image_size"]
    images = rng.normal(0, 1, (job["batch"], size, size, 3)).astype(np.float32)
    labels = np.eye(job["classes"], dtype=np.float32)[
        rng.integers(job["classes"], size=len(images))
    ]
    print(json.dumps({"tensorflow": tf.__version__, "keras": keras.__version__}), flush=True)

    def config_of(network: dict[str, Any]) -> SubnetConfig:
        lists = {name: tuple(network[name]) for name in ("heads", "mlp_ratio")}
        return SubnetConfig(patch=space.patches[0], embed_dim=network["embed_dim"], **lists)

    for line in sys.stdin:
        start = time.process_time()
        for network in json.loads(line):
            steps.train(images, labels, [config_of(network)])
        print(json.dumps(time.process_time() - start), flush=True)


if __name__ == "__main__":
    main()
