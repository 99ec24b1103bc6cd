# SPDX-License-Identifier: Apache-2.0
"""Models that carry code, or name it, are refused before a library reads them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from keras_models.hdf5_sizes import expect_weights
from keras_models.model_config import expect_no_code
from keras_models.model_file import HDF5, KERAS, ModelFileError, _expect_whole


def layer(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config}


def described(*layers: dict[str, Any]) -> str:
    return json.dumps(layer("Sequential", layers=[layer("InputLayer"), *layers, layer("Dense")]))


BYTECODE = layer("Lambda", function=["4wEAAAA=", None, None], function_type="lambda")
CODE = [
    BYTECODE,
    layer("TimeDistributed", layer=BYTECODE),
    layer("Any>Lambda"),
    layer("Dense", activation={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}),
    layer("Dense", activation={"module": "os", "class_name": "function", "config": "system"}),
    layer("Dense", activation={"module": "builtins", "class_name": "function", "config": "eval"}),
    {"module": "subprocess", "class_name": "Popen", "config": {}},
]
PLAIN = [
    layer("Dense", activation="relu"),
    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}},
    {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {}},
    {"module": "builtins", "class_name": "function", "config": "my_activation"},
    {"module": None, "class_name": "Own", "config": {}, "registered_name": "Own"},
]


def saved(folder: Path, text: str) -> tuple[tuple[str, str], ...]:
    """The same description in both formats."""
    keras, hdf5 = str(folder / "m.keras"), str(folder / "m.h5")
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("config.json", text)
    with h5py.File(hdf5, "w") as file:
        file.attrs["model_config"] = text
    return ((keras, KERAS), (hdf5, HDF5))


@pytest.mark.parametrize("code", CODE, ids=range(len(CODE)))
def test_code_is_refused(tmp_path: Path, code: dict[str, Any]) -> None:
    for path, kind in saved(tmp_path, described(code)):
        with pytest.raises(ModelFileError, match="has a Lambda layer, whose code is not loaded"):
            _expect_whole(path, kind)


def test_escapes_do_not_hide_a_name(tmp_path: Path) -> None:
    text = described(BYTECODE).replace("Lambda", "\\u004cambda").replace("lambda", "\\u006cambda")
    assert "ambda" in text
    assert "Lambda" not in text
    with pytest.raises(ValueError, match="Lambda"):
        expect_no_code(text)


def test_layers_without_code_are_read(tmp_path: Path) -> None:
    for path, kind in saved(tmp_path, described(*PLAIN)):
        _expect_whole(path, kind)


@pytest.mark.parametrize("link", [h5py.SoftLink("/a"), h5py.ExternalLink("other.h5", "/a")])
@pytest.mark.parametrize("group", ["", "layers/dense"])
def test_names_of_something_elsewhere_are_refused(tmp_path: Path, link: Any, group: str) -> None:
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        inside = file.create_group(group) if group else file
        inside["a"] = [1.0]
    expect_weights(str(path))
    with h5py.File(path, "a") as file:
        (file[group] if group else file)["b"] = link
    with pytest.raises(ValueError, match="b is a link, perhaps into another file"):
        expect_weights(str(path))
