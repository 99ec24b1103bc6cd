# SPDX-License-Identifier: Apache-2.0
"""Finds a model by preset name, architecture file or trained directory.

A trained directory is what `python -m keras_models.train` writes:

    arch.json           the `ArchConfig`, or the `StagedConfig`
    model.weights.h5    float weights (Keras 3 format)
    train.json          how it was made and how good it is

`keras_models/trained/` holds such a directory for each preset that comes with trained weights.
"""

from __future__ import annotations

import os
import types
import warnings
from typing import Any

from keras_models.arch import ArchConfig
from keras_models.hdf5_sizes import expect_weights
from keras_models.layers import is_keras_3
from keras_models.parts import ArchError
from keras_models.presets import PRESETS
from keras_models.published_presets import PUBLISHED_PRESETS
from keras_models.resnet import TEACHERS, ResNetConfig, build_resnet, is_resnet_json
from keras_models.staged import Architecture, StagedConfig, is_staged_json
from keras_models.staged_presets import STAGED_PRESETS
from keras_models.task_presets import TASK_PRESETS
from keras_models.training.checkpoint import CHECKPOINT_FILE
from keras_models.vit import build_vit, random_weights
from tflm_vit.files import FileError, read_text, reading

ARCH_FILE = "arch.json"
WEIGHTS_FILE = "model.weights.h5"
TRAIN_FILE = "train.json"
SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trained")


class ModelNotFoundError(ValueError):
    """A model, architecture or weights file does not exist or cannot be read; the message says."""


Network = Architecture | ResNetConfig
_NAMED: dict[str, Network] = {
    **PRESETS,
    **STAGED_PRESETS,
    **PUBLISHED_PRESETS,
    **TASK_PRESETS,
    **TEACHERS,
}
_DEPLOYED = tuple(name for name in _NAMED if name not in TEACHERS)


def resolve_network(preset_or_path: str) -> Network:
    """What a preset name, an `arch.json` file or a trained directory describes.

    Raises:
      ModelNotFoundError, ArchError, ResNetError: no such name or file, or a wrong one.
    """
    if preset_or_path in _NAMED:
        return _NAMED[preset_or_path]
    path = preset_or_path
    if os.path.isdir(path):
        path = os.path.join(path, ARCH_FILE)
    elif not os.path.isfile(path):
        raise ModelNotFoundError(
            f"model {path!r}: neither a file or directory nor a preset ({', '.join(_DEPLOYED)})"
        )
    return _kind_of(path).load(path)


def _kind_of(path: str) -> type[Network]:
    """By the file's content; a file that cannot be read is left to `ArchConfig` to report."""
    try:
        text = read_text(path)
    except (OSError, FileError):
        return ArchConfig
    if is_resnet_json(text):
        return ResNetConfig
    return StagedConfig if is_staged_json(text) else ArchConfig


def resolve_arch(preset_or_path: str) -> Architecture:
    """The same for a Vision Transformer, which is what every command but training takes.

    Raises:
      ModelNotFoundError: also for a residual network.
    """
    network = resolve_network(preset_or_path)
    if isinstance(network, ResNetConfig):
        raise ModelNotFoundError(
            f"model {preset_or_path!r} is a residual network, which is trained "
            "(keras_models.train) to be a --teacher; expected a Vision Transformer"
        )
    return network


def expect_one_stage(arch: Architecture, whose: str) -> ArchConfig:
    """The architecture, for what knows networks of one stage only.

    Args:
      whose: names it and what needs it, for the message.

    Raises:
      ModelNotFoundError: it has several.
    """
    if not isinstance(arch, ArchConfig):
        raise ModelNotFoundError(
            f"{whose}: {arch.name!r} has {len(arch.stages)} stages, expected a network of one "
            "stage (an arch.json without stages)"
        )
    return arch


def expect_ended(directory: str, error: type[ValueError]) -> None:
    """Refuses the folder of a training that was stopped while it wrote its result.

    Its files may be of two trainings (`keras_models.training.finish`).
    """
    begun, ended = (os.path.join(directory, name) for name in (CHECKPOINT_FILE, TRAIN_FILE))
    if os.path.exists(begun) and not os.path.exists(ended):
        raise error(
            f"{directory}: its training has not ended ({CHECKPOINT_FILE} is there, {TRAIN_FILE} is "
            "not); go on with it with --resume"
        )


def trained_network(directory: str) -> Network:
    """What a trained directory describes; its weights are there as well.

    Raises:
      ModelNotFoundError, ArchError, ResNetError: a file is missing or wrong; the message names it.
    """
    if not os.path.isdir(directory):
        raise ModelNotFoundError(f"{directory}: no such directory")
    expect_ended(directory, ModelNotFoundError)
    network, weights = resolve_network(directory), os.path.join(directory, WEIGHTS_FILE)
    if not os.path.isfile(weights):
        raise ModelNotFoundError(f"{weights}: no such weights file")
    return network


def build_network(network: Network, drop_path: float = 0.0) -> Any:
    """The Keras 3 model of either kind; drop path is a Vision Transformer's only."""
    if isinstance(network, ResNetConfig):
        return build_resnet(network)
    return build_vit(network, drop_path=drop_path)


def load_network(directory: str) -> tuple[Network, Any]:
    """Either kind of network and its trained Keras 3 model; errors as of `trained_network`."""
    network = trained_network(directory)
    return network, load_weights(build_network(network), os.path.join(directory, WEIGHTS_FILE))


def trained_directory(preset_or_path: str) -> str | None:
    """Where the trained weights of a model are: the directory itself, or a preset's shipped ones.

    None if there are none.
    """
    if preset_or_path in _DEPLOYED:
        shipped = os.path.join(SHIPPED, preset_or_path)
        return shipped if os.path.isdir(shipped) else None
    return preset_or_path if os.path.isdir(preset_or_path) else None


def expect_trained_directory(preset_or_path: str) -> str:
    """The same, for a model that must have trained weights.

    Raises:
      ModelNotFoundError: no such model, or one without them.
    """
    resolve_arch(preset_or_path)
    directory = trained_directory(preset_or_path)
    if directory is None:
        raise ModelNotFoundError(
            f"model {preset_or_path!r} has no trained weights: give a trained directory, "
            "--weights=random or --weights=FILE.weights.h5"
        )
    expect_ended(directory, ModelNotFoundError)
    return directory


def load_weights(model: Any, path: str) -> Any:
    """Fills `model` from a `.weights.h5` file; a wrong file is named in the error."""
    if not os.path.isfile(path):
        raise ModelNotFoundError(f"{path}: no such weights file")
    what = f"weights of {model.name!r}"
    with reading(path, what, ModelNotFoundError), warnings.catch_warnings():
        # Keras warns of layers that the file lacks, and would leave them as they are.
        warnings.filterwarnings("error", "(?s).*freshly-initialized")
        expect_weights(path)
        try:
            model.load_weights(path)
        except UserWarning as warning:
            raise ValueError(str(warning)) from warning
    return model


def load_trained(
    directory: str, keras_module: types.ModuleType | None = None, norm: str | None = None
) -> tuple[Architecture, Any]:
    """The architecture and the trained model of a directory that training wrote.

    Args:
      directory: as described at the head of this module.
      keras_module: `keras` (default) or `tf_keras`.
      norm: overrides the architecture's norm, see `build_vit`.

    Raises:
      ModelNotFoundError, ArchError: a file is missing or wrong; the message names it.
    """
    if not os.path.isdir(directory):
        raise ModelNotFoundError(f"{directory}: no such directory")
    return resolve_model(directory, "trained", 0, keras_module=keras_module, norm=norm)


def resolve_model(
    preset_or_path: str,
    weights: str = "trained",
    seed: int = 0,
    *,
    keras_module: types.ModuleType | None = None,
    norm: str | None = None,
) -> tuple[Architecture, Any]:
    """The architecture and a model with weights: what `--network --weights --seed` mean everywhere.

    Args:
      preset_or_path: preset name, architecture JSON file, or trained directory.
      weights: "trained" (the directory's own, or those that the preset comes with), "random", or
        the path of a `.weights.h5` file.
      seed: of the random weights; unused otherwise.
      keras_module: `keras` (default) or `tf_keras`.
      norm: overrides the architecture's norm, see `build_vit`.

    Raises:
      ModelNotFoundError, ArchError: what is missing or wrong, by name.
    """
    arch = resolve_arch(preset_or_path)
    if weights == "trained":
        path = os.path.join(expect_trained_directory(preset_or_path), WEIGHTS_FILE)
    else:
        path = weights
    if weights != "random" and not os.path.isfile(path):
        raise ModelNotFoundError(f"{path}: no such weights file")
    model = build_vit(arch, keras_module, norm)
    if weights == "random":
        return arch, random_weights(model, seed)
    if keras_module is None or is_keras_3(keras_module):
        return arch, load_weights(model, path)
    # Keras 3 wrote the file; tf_keras names the parts of some layers differently, while the order
    # of weights is the same.
    model.set_weights(load_weights(build_vit(arch, norm=norm), path).get_weights())
    return arch, model


__all__ = [
    "ARCH_FILE",
    "TRAIN_FILE",
    "WEIGHTS_FILE",
    "ArchError",
    "ModelNotFoundError",
    "Network",
    "build_network",
    "expect_ended",
    "expect_one_stage",
    "expect_trained_directory",
    "load_network",
    "load_trained",
    "load_weights",
    "resolve_arch",
    "resolve_model",
    "resolve_network",
    "trained_directory",
    "trained_network",
]
