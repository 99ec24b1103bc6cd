# SPDX-License-Identifier: Apache-2.0
"""The other side of `benchmarks.supernet_speed`: AutoFormer's supernet, by PyTorch.

Run by an interpreter that has PyTorch: `python autoformer.py FOLDER`, the folder AutoFormer of a
checkout of github.com/microsoft/Cream. Reads a job on the first line of its input, then a list of
sub-networks on each, and answers with the CPU seconds that a training step on each of them took.
"""

from __future__ import annotations

import collections.abc
import json
import sys
import time
import types
from typing import Any


def main() -> None:
    import torch

    old = types.ModuleType("torch._six")  # that the code imports, and PyTorch no longer has
    old.container_abcs = collections.abc  # type: ignore[attr-defined]
    sys.modules["torch._six"] = old
    sys.path.insert(0, sys.argv[1])
    from model.supernet_transformer import (  # type: ignore[import-not-found]
        Vision_TransformerSuper,
    )

    torch.set_num_threads(1)
    torch.manual_seed(0)
    job = json.loads(sys.stdin.readline())
    head_dim = 64
    net = Vision_TransformerSuper(
        img_size=job["image_size"], patch_size=job["patch"], embed_dim=head_dim * job["heads"],
        depth=job["depth"], num_heads=job["heads"], mlp_ratio=job["mlp_ratio"], qkv_bias=True,
        gp=True, num_classes=job["classes"], relative_position=job["relative"], change_qkv=True,
    )  # fmt: skip
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.05)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    images = torch.randn(job["batch"], 3, job["image_size"], job["image_size"])
    labels = torch.randint(job["classes"], (job["batch"],))
    print(json.dumps({"torch": torch.__version__}), flush=True)

    def step(network: dict[str, Any]) -> None:
        net.set_sample_config(
            {
                "embed_dim": [network["embed_dim"]] * network["depth"],
                "mlp_ratio": network["mlp_ratio"],
                "layer_num": network["depth"],
                "num_heads": network["heads"],
            }
        )
        optimizer.zero_grad()
        loss(net(images), labels).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    for line in sys.stdin:
        start = time.process_time()
        for network in json.loads(line):
            step(network)
        print(json.dumps(time.process_time() - start), flush=True)


if __name__ == "__main__":
    main()
