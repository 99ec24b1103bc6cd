# SPDX-License-Identifier: Apache-2.0
"""The tensors of a checkpoint by name, whatever kind of file it is."""

from __future__ import annotations

from keras_models.checkpoints import safetensors, torch_zip
from keras_models.checkpoints.tensors import CheckpointFormatError, CheckpointTensor
from tflm_vit.files import reading


def read_tensors(path: str, key: str = "") -> dict[str, CheckpointTensor]:
    """All tensors of a safetensors or PyTorch zip file.

    Args:
      key: which part of a PyTorch file with several, e.g. "model_ema".

    Raises:
      CheckpointFormatError: with the file's name, and what is wrong with it.
      OSError: it cannot be read.
    """
    with reading(path, "a checkpoint", CheckpointFormatError):
        with open(path, "rb") as file:
            start = file.read(4)
        if start.startswith(b"PK"):
            found = torch_zip.read(path, key)
        elif start[:1] == b"\x80":
            raise ValueError(
                "a bare pickle, as PyTorch wrote before 1.6; save it again there, as safetensors"
            )
        else:
            if key:
                raise ValueError(f"--key={key}: a safetensors file has one part only")
            found = safetensors.read(path)
        if not found:
            raise ValueError("no tensors in it")
        return _without_prefix(found)


def _without_prefix(tensors: dict[str, CheckpointTensor]) -> dict[str, CheckpointTensor]:
    """Names as the network has them, without the wrapper of a parallel training."""
    wrapper = "module."
    if all(name.startswith(wrapper) for name in tensors):
        return {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors
