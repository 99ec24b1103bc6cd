# SPDX-License-Identifier: Apache-2.0
"""Makes a trained folder of a PyTorch Vision Transformer's weights.

    python -m keras_models.import_weights --checkpoint=deit_tiny.safetensors --heads=3 \\
        --mean=123.675,116.28,103.53 --std=58.395,57.12,57.375 --out=deit_tiny

State dicts of timm, torchvision and AutoFormer, as safetensors or as torch.save wrote them; nothing
in a file is run. The folder is what converter.quantize, converter.evaluate and keras_models.train
(--initial) take. Images are normalized here as everywhere in this project: what the network was
trained with is folded into its patch embedding.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.arch import ACTIVATIONS, POOLS, ArchConfig
from keras_models.checkpoints.layouts import Told, imported
from keras_models.checkpoints.reader import read_tensors
from keras_models.checkpoints.tensors import CheckpointFormatError
from keras_models.datasets.normalization import Normalization
from keras_models.load import ARCH_FILE
from keras_models.parts import PATCHES
from keras_models.training.checkpoint import CHECKPOINT_FILE
from tflm_vit import flags
from tflm_vit.files import expect_writable, expect_writable_folder, naming, write_json
from tflm_vit.folders import output_folder
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("import_weights", __doc__)
FLAGS.string("checkpoint", "", "File of the weights: .safetensors, or of torch.save.", True)
FLAGS.integer("heads", None, "Attention heads of a block, which no file says.", 1, 256)
flags.mean(FLAGS)
flags.std(FLAGS)
FLAGS.string("key", "", "Part of a file that holds several networks, e.g. model_ema.")
flags.name(FLAGS, "", "Of the network; without it the file's.")
FLAGS.enum(
    "pool", "", (*POOLS, PATCHES), "What the classifier sees, where the weights do not say it."
)
FLAGS.enum("activation", "gelu", ACTIVATIONS, "Of the MLP.")
FLAGS.number("norm_epsilon", None, "Of LayerNorm; without it the library's.", 1e-12, 0.1)
FLAGS.boolean("interleaved_qkv", True, "AutoFormer's --change_qkv: rows of q, k and v in turn.")
flags.out(FLAGS, "Folder for the network.")
flags.overwrite(FLAGS, "Replace a network or an unfinished training in --out.")
flags.json(FLAGS)


def import_file(path: str, told: Told, key: str = "") -> tuple[str, ArchConfig, list[Any]]:
    """The library's name, the architecture and the weights of `build_vit`'s model.

    Raises:
      CheckpointFormatError, ArchError: with the file's name, and what to do.
    """
    tensors = read_tensors(path, key)
    with naming(path):
        return imported(tensors, told)


def write_folder(
    out: str, arch: ArchConfig, weights: list[NDArray[np.float32]], report: dict[str, Any]
) -> None:
    """Writes a trained folder, as a training does: never weights beside another network's record.

    Args:
      report: what train.json holds.
    """
    with captured_stderr():  # TensorFlow talks while it is imported, whatever its log level
        from keras_models.training.finish import write_trained
        from keras_models.vit import build_vit

        model = build_vit(arch)
    model.set_weights(weights)
    with output_folder(out):
        write_trained(out, arch, model, report)


def _expect_place() -> None:
    """Refuses to lose a network, or a training that has not ended."""
    expect_writable_folder(FLAGS.out)
    expect_writable(FLAGS.json)
    for name, what in ((ARCH_FILE, "a network"), (CHECKPOINT_FILE, "an unfinished training")):
        if os.path.exists(os.path.join(FLAGS.out, name)) and not FLAGS.overwrite:
            raise CheckpointFormatError(f"{FLAGS.out} holds {what}: give --overwrite to replace it")


def _told() -> Told:
    if FLAGS.heads is None:
        raise CheckpointFormatError("--heads is missing: no file says it (often width / 64)")
    if bool(FLAGS.mean) != bool(FLAGS.std):
        raise CheckpointFormatError("--mean and --std: give both")
    normalization = None
    if FLAGS.mean:
        try:
            mean, std = (tuple(float(word) for word in words) for words in (FLAGS.mean, FLAGS.std))
            normalization = Normalization.told(mean, std)
        except ValueError as error:
            raise CheckpointFormatError(f"--mean and --std: {error}") from error
    name = FLAGS.name or os.path.splitext(os.path.basename(FLAGS.checkpoint))[0]
    return Told(
        name=name,
        heads=FLAGS.heads,
        normalization=normalization,
        pool=FLAGS.pool,
        activation=FLAGS.activation,
        norm_epsilon=FLAGS.norm_epsilon,
        interleaved=FLAGS.interleaved_qkv,
    )


def _body() -> None:
    _expect_place()
    library, arch, weights = import_file(FLAGS.checkpoint, _told(), FLAGS.key)
    with open(FLAGS.checkpoint, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    report = {
        "command": typed_command("keras_models.import_weights"),
        "library": library,
        "checkpoint": os.path.basename(FLAGS.checkpoint),
        "sha256": digest,
        "arch": arch.name,
        "params": arch.params,
        "macs": arch.macs,
    }
    write_folder(FLAGS.out, arch, weights, report)
    if FLAGS.json:
        write_json(FLAGS.json, report)
    print(
        f"{library} {arch.name}: {arch.image_size} pixels, patch {arch.patch_size}, width "
        f"{arch.embed_dim}, {arch.depth} blocks of {arch.heads[0]} heads, "
        f"{arch.num_classes} classes, {arch.params:,} parameters -> {FLAGS.out}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Imports as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
