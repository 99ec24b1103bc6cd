# SPDX-License-Identifier: Apache-2.0
"""Weights of timm, torchvision and AutoFormer: what is computed, and what is refused unread."""

import json
import math
import os
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_models import import_weights
from keras_models.checkpoints.layouts import Told
from keras_models.checkpoints.reader import read_tensors
from keras_models.checkpoints.torch_zip import _LONGEST_PICKLE
from keras_models.datasets.normalization import Normalization
from keras_models.load import CHECKPOINT_FILE, load_trained
from keras_models.training import fit
from keras_models.training.recipe import Recipe

sys.path.insert(0, str(Path(__file__).parent))
import torch_files as files

IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HEADS, HEAD_DIM, WIDTH, HIDDEN, PATCH, SIDE, CLASSES, DEPTH = 3, 4, 16, 40, 4, 12, 5, 2
TOKENS = (SIDE // PATCH) ** 2 + 1

# Names of the libraries' own modules: blocks, then the rest.
NAMES = {
    "timm": (
        "blocks.{}.", "norm1", "attn.qkv.", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2",
        "patch_embed.proj", "cls_token", "pos_embed", "norm", "head",
    ),
    "torchvision": (
        "encoder.layers.encoder_layer_{}.", "ln_1", "self_attention.in_proj_",
        "self_attention.out_proj", "ln_2", "mlp.0", "mlp.3",
        "conv_proj", "class_token", "encoder.pos_embedding", "encoder.ln", "heads.head",
    ),
    "AutoFormer": (
        "blocks.{}.", "attn_layer_norm", "attn.qkv.", "attn.proj", "ffn_layer_norm", "fc1", "fc2",
        "patch_embed_super.proj", "cls_token", "pos_embed", "norm", "head",
    ),
}  # fmt: skip
EPSILON = {"timm": 1e-6, "torchvision": 1e-6, "AutoFormer": 1e-5}


def told(**changes):
    return Told(**{"name": "net", "heads": HEADS, "normalization": IMAGENET, **changes})


def shapes(library, depth=DEPTH):
    block, norm1, qkv, proj, norm2, fc1, fc2, patch, cls, position, norm, head = NAMES[library]
    inner = HEADS * HEAD_DIM
    out = {
        f"{patch}.weight": (WIDTH, 3, PATCH, PATCH),
        f"{patch}.bias": (WIDTH,),
        cls: (1, 1, WIDTH),
        position: (1, TOKENS, WIDTH),
    }
    for i in range(depth):
        at = block.format(i)
        for name in (norm1, norm2):
            out |= {f"{at}{name}.weight": (WIDTH,), f"{at}{name}.bias": (WIDTH,)}
        out |= {f"{at}{qkv}weight": (3 * inner, WIDTH), f"{at}{qkv}bias": (3 * inner,)}
        for name, (rows, columns) in (
            (proj, (WIDTH, inner)),
            (fc1, (HIDDEN, WIDTH)),
            (fc2, (WIDTH, HIDDEN)),
        ):
            out |= {f"{at}{name}.weight": (rows, columns), f"{at}{name}.bias": (rows,)}
    out |= {f"{norm}.weight": (WIDTH,), f"{norm}.bias": (WIDTH,)}
    return out | {f"{head}.weight": (CLASSES, WIDTH), f"{head}.bias": (CLASSES,)}


def random_state(library, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) * 0.3).astype(np.float32)
        for name, shape in shapes(library).items()
    }


def norm_of(x, state, name, epsilon):
    c = x - x.mean(-1, keepdims=True)
    normed = c / np.sqrt((c * c).mean(-1, keepdims=True) + epsilon)
    return normed * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(x, state, name, separator="."):
    return x @ state[f"{name}{separator}weight"].T + state[f"{name}{separator}bias"]


def published(library, state, images, gp=False):
    """The libraries' forward pass, in float64: bytes (n, side, side, 3) -> logits."""
    state = {name: value.astype(np.float64) for name, value in state.items()}
    block, norm1, qkv, proj, norm2, fc1, fc2, patch, cls, position, norm, head = NAMES[library]
    x = (images.astype(np.float64) - IMAGENET.mean) / IMAGENET.std
    n, grid = len(x), SIDE // PATCH
    x = (
        x.reshape(n, grid, PATCH, grid, PATCH, 3)
        .transpose(0, 1, 3, 5, 2, 4)
        .reshape(n, grid**2, -1)
    )
    x = x @ state[f"{patch}.weight"].reshape(WIDTH, -1).T + state[f"{patch}.bias"]
    x = np.concatenate([np.repeat(state[cls], n, 0), x], axis=1) + state[position]
    erf = np.vectorize(math.erf)
    for i in range(DEPTH):
        at = block.format(i)
        y = norm_of(x, state, at + norm1, EPSILON[library])
        y = linear(y, state, f"{at}{qkv}"[:-1], qkv[-1])
        if library == "AutoFormer":  # qkv_super: rows 0, 3, 6 ... are q
            y = np.concatenate([y[..., part::3] for part in range(3)], axis=-1)
        q, k, v = y.reshape(n, TOKENS, 3, -1, HEAD_DIM).transpose(2, 0, 3, 1, 4)
        keys, values = (relative_of(state, at, part) for part in "kv")
        scores = q @ k.transpose(0, 1, 3, 2) + np.einsum("nhid,ijd->nhij", q, keys)
        scores = scores / np.sqrt(HEAD_DIM)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        y = shares @ v + np.einsum("nhij,ijd->nhid", shares, values)
        y = linear(y.transpose(0, 2, 1, 3).reshape(n, TOKENS, -1), state, at + proj)
        x = x + y * state.get(f"{at}ls1.gamma", 1)
        y = linear(norm_of(x, state, at + norm2, EPSILON[library]), state, at + fc1)
        y = linear(0.5 * y * (1 + erf(y / np.sqrt(2))), state, at + fc2)
        x = x + y * state.get(f"{at}ls2.gamma", 1)
    x = norm_of(x, state, norm, EPSILON[library])
    return linear(x[:, 1:].mean(1) if gp else x[:, 0], state, head)


def relative_of(state, at, part):
    """(tokens, tokens, head_dim), as AutoFormer's RelativePosition2D_super; zeros without."""
    name = f"{at}attn.rel_pos_embed_{part}.embeddings_table_"
    if f"{name}v" not in state:
        return np.zeros((TOKENS, TOKENS, HEAD_DIM))
    largest, grid = len(state[f"{name}v"]) // 2 - 1, SIDE // PATCH
    at = np.arange(grid**2)
    total = 0
    for table, place in (("v", at // grid), ("h", at % grid)):
        distance = np.clip(place[None, :] - place[:, None], -largest, largest) + largest + 1
        total = total + state[f"{name}{table}"][np.pad(distance, ((1, 0), (1, 0)))]
    return total


def logits_of(path, folder, own=None):
    library, arch, weights = import_weights.import_file(str(path), own or told())
    import_weights.write_folder(str(folder), arch, weights, {"arch": arch.name})
    arch, model = load_trained(str(folder))
    images = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    return library, images, np.asarray(model(Normalization().apply(images)))


@pytest.mark.parametrize("library", NAMES)
def test_logits_are_those_of_the_published_network(library, tmp_path):
    state = random_state(library)
    own = told(pool="cls") if library == "AutoFormer" else told()
    if library == "timm":  # LayerScale goes into the layers before it
        state |= {
            f"blocks.{i}.ls{k}.gamma": np.linspace(-1, 2, WIDTH, dtype=np.float32) * k
            for i in range(DEPTH)
            for k in (1, 2)
        }
    files.save_torch(tmp_path / "a.pth", state)
    files.save_safetensors(tmp_path / "a.safetensors", state)
    for name in ("a.pth", "a.safetensors"):
        found, images, logits = logits_of(tmp_path / name, tmp_path / "out", own)
        assert found == library
        np.testing.assert_allclose(logits, published(library, state, images), atol=1e-5)


def test_autoformer_as_published_has_relative_position_and_the_mean_of_the_patches(tmp_path):
    state, rng = random_state("AutoFormer"), np.random.default_rng(4)
    for block in range(DEPTH):
        for part in "kv":
            for table in "vh":
                name = f"blocks.{block}.attn.rel_pos_embed_{part}.embeddings_table_{table}"
                state[name] = rng.normal(0, 0.5, (2 * 1 + 2, HEAD_DIM)).astype(np.float32)
    # What is searched differs from block to block: heads, and the width of the MLP.
    state |= {
        "blocks.1.attn.qkv.weight": rng.normal(0, 0.3, (3 * 2 * HEAD_DIM, WIDTH)).astype("f4"),
        "blocks.1.attn.qkv.bias": rng.normal(0, 0.3, 3 * 2 * HEAD_DIM).astype("f4"),
        "blocks.1.attn.proj.weight": rng.normal(0, 0.3, (WIDTH, 2 * HEAD_DIM)).astype("f4"),
    }
    files.save_torch(tmp_path / "a.pth", state)
    own = told(pool="patches")
    _, images, logits = logits_of(tmp_path / "a.pth", tmp_path / "out", own)
    expected = published("AutoFormer", state, images, gp=True)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    arch = load_trained(str(tmp_path / "out"))[0]
    assert (arch.heads, arch.head_dim, arch.relative_position) == ((3, 2), HEAD_DIM, 1)
    refused(tmp_path / "a.pth", "--heads=4: expected 3 of 4", told(pool="patches", heads=4))
    state["blocks.1.attn.rel_pos_embed_v.embeddings_table_h"] = np.zeros((6, HEAD_DIM), "f4")
    files.save_torch(tmp_path / "a.pth", state)
    refused(tmp_path / "a.pth", r"table_h: shape \(6, 4\), expected \(4, 4\)", own)


def test_old_and_wrapped_names_mean_the_same(tmp_path):
    state = random_state("torchvision")
    old = {
        name.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): value
        for name, value in state.items()
    }
    args = (
        b"cargparse\nNamespace\n)\x81}" + files.text("lr") + b"G" + struct.pack(">d", 0.1) + b"sb"
    )
    files.save_torch(
        tmp_path / "a.pth",
        {f"module.{name}": value for name, value in old.items()},
        lambda tree: files.dict_of({"model": tree, "args": args, "epoch": files.number(3)}),
    )
    _, images, logits = logits_of(tmp_path / "a.pth", tmp_path / "out")
    np.testing.assert_allclose(logits, published("torchvision", state, images), atol=1e-5)


def test_positions_without_one_of_the_class_token(tmp_path):
    state = random_state("timm")
    short = {**state, "pos_embed": state["pos_embed"][:, 1:]}
    files.save_safetensors(tmp_path / "a.safetensors", short)
    _, images, logits = logits_of(tmp_path / "a.safetensors", tmp_path / "out")
    state["pos_embed"][:, 0] = 0
    np.testing.assert_allclose(logits, published("timm", state, images), atol=1e-5)


def test_half_precision_is_read(tmp_path):
    state = random_state("timm")
    half = {name: value.astype(np.float16) for name, value in state.items()}
    files.save_torch(tmp_path / "a.pth", half)
    upper = {name: (value.view(np.uint32) >> 16).astype(np.uint16) for name, value in state.items()}
    files.save_safetensors(tmp_path / "b.safetensors", upper)
    exact = {
        name: (value.astype(np.uint32) << 16).view(np.float32) for name, value in upper.items()
    }
    for name, values in (("a.pth", half), ("b.safetensors", exact)):
        found = read_tensors(str(tmp_path / name))
        for key, value in values.items():
            np.testing.assert_array_equal(found[key].numbers(), value.astype(np.float32))


def test_a_training_and_the_command_start_from_it(tmp_path, capsys):
    files.save_safetensors(tmp_path / "a.safetensors", random_state("torchvision"))
    out = tmp_path / "out"
    words = [f"--checkpoint={tmp_path}/a.safetensors", f"--out={out}", f"--heads={HEADS}"]
    import_weights.main(words)
    assert "torchvision a: 12 pixels, patch 4, width 16, 2 blocks of 3 heads" in (
        capsys.readouterr().out
    )
    assert json.loads((out / "train.json").read_text())["library"] == "torchvision"
    arch, model = load_trained(str(out))
    job = fit.TrainJob(
        arch.replace(num_classes=2), Recipe(), "digits", "", 0, str(tmp_path), 1, False,
        initial=str(out),
    )  # fmt: skip
    started = fit.compiled_model(job, 1).get_weights()
    for a, b in zip(started[:-2], model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(SystemExit):
        import_weights.main(words)
    assert "holds a network: give --overwrite" in capsys.readouterr().err
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / CHECKPOINT_FILE).touch()
    with pytest.raises(SystemExit):
        import_weights.main([*words, f"--out={tmp_path}/begun"])
    assert "holds an unfinished training: give --overwrite" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        import_weights.main([*words, f"--json={tmp_path}", f"--out={tmp_path}/new"])
    assert "got a folder, expected the name of a file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        import_weights.main([*words, "--mean=a", "--std=1", f"--out={tmp_path}/new"])
    assert "--mean and --std: could not convert" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_weights_never_lie_beside_the_record_of_others(tmp_path, monkeypatch):
    """The record says which images the network takes and what its outputs are."""
    files.save_safetensors(tmp_path / "a.safetensors", random_state("timm"))
    _, arch, weights = import_weights.import_file(str(tmp_path / "a.safetensors"), told())
    out = tmp_path / "out"
    import_weights.write_folder(str(out), arch, weights, {"of": "one"})
    moves = []

    def replace(*names):
        moves.append([name for name in os.listdir(out) if name == "train.json"])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        import_weights.write_folder(str(out), arch, weights, {"of": "another"})
    assert moves == [[]]


# ---- what is refused ------------------------------------------------------------------------


def refused(path, match, own=None, key=""):
    with pytest.raises(ValueError, match=match) as caught:
        import_weights.import_file(str(path), own or told(), key)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert "\n" not in line


@pytest.mark.parametrize(
    ("extra", "own", "match"),
    [
        (
            {"blocks.0.attn.rel_pos_embed_k.embeddings_table_v": 4},
            {},
            "it has relative position",
        ),
        ({"reg_token": 4}, {}, r"register tokens \(reg_token\), which no ArchConfig has"),
        ({"fc_norm.weight": 4}, {}, "a norm behind the mean over the tokens"),
        ({"something.else": 4}, {}, r"unknown weights \(something.else\)"),
        ({}, {"normalization": None}, "give --mean and --std in steps of a byte"),
        ({}, {"heads": 5}, "--heads=5: expected a divisor of 12"),
        ({}, {"pool": "mean"}, "--pool=mean: its weights show cls"),
        ({"head.bias": 6}, {}, r"head.bias: shape \(6,\), expected \(5,\)"),
        ({"pos_embed": 7}, {}, "expected a square of patches"),
    ],
)
def test_networks_that_are_no_archconfig(extra, own, match, tmp_path):
    state = random_state("timm") | {k: np.zeros(n, np.float32) for k, n in extra.items()}
    files.save_safetensors(tmp_path / "a.safetensors", state)
    refused(tmp_path / "a.safetensors", match, told(**own))


def test_a_block_narrower_than_a_head_is_refused(tmp_path):
    state = random_state("timm")
    last = max(name for name in state if name.endswith("attn.qkv.weight"))
    state[last] = state[last][:3]
    files.save_safetensors(tmp_path / "a.safetensors", state)
    refused(tmp_path / "a.safetensors", "--heads=3: expected 0 of 4")


def test_values_that_are_no_numbers_and_what_only_the_user_knows(tmp_path):
    state = random_state("AutoFormer")
    files.save_torch(tmp_path / "a.pth", state)
    refused(tmp_path / "a.pth", "do not say what the classifier sees: give --pool=patches if")
    state["norm.bias"][3] = np.nan
    files.save_torch(tmp_path / "b.pth", state)
    refused(tmp_path / "b.pth", "norm.bias: it holds values that are not finite", told(pool="cls"))
    both = random_state("timm")
    files.save_torch(
        tmp_path / "c.pth", both, lambda tree: files.dict_of({"model": tree, "ema": tree})
    )
    refused(tmp_path / "c.pth", "several networks: give --key, one of model, ema")
    refused(tmp_path / "c.pth", "--key=best: expected one of model, ema", key="best")
    assert import_weights.import_file(str(tmp_path / "c.pth"), told(), "ema")[0] == "timm"


def deep(levels):
    """A tuple in a tuple in a tuple ..., which no hash survives, as a key."""
    return b"}" + b")" + b"\x85" * levels + b"Ns"


HOSTILE = {
    "code": (b"cos\nsystem\n(" + files.text("touch ran") + b"tR", "names os.system, which is no"),
    "builtin": (b"cbuiltins\neval\n(" + files.text("1") + b"tR", r"names builtins\.eval"),
    "inst": (b"(" + files.text("touch ran") + b"ios\nsystem\n", "operation INST"),
    "extension": (b"\x82\x01", "operation EXT1"),
    "stacked": (files.text("os") + files.text("system") + b"\x93", "operation STACK_GLOBAL"),
    "attributes": (files.tensor("0", "float32", 4, [4], [1]) + b"}b", "sets attributes"),
    "key": (deep(200_000), "has a tuple as a key"),
    "far": (files.tensor("0", "float32", 4, [5], [1]), "needs 5 elements, its storage has 4"),
    "behind": (files.tensor("0", "float32", 4, [2], [-1]), "shape and strides"),
    "repeated": (files.tensor("0", "float32", 4, [10**6, 10**3], [0, 0]), "its storage has 4"),
    "absent": (files.tensor("9", "float32", 4, [4], [1]), "'data/9' is missing"),
    "memo": (b"r" + struct.pack("<I", 2**32 - 1), "list index out of range"),
    "empty": (b"}", "no tensors in it"),
    "unfinished": (b"(", "no tensors in it|not a checkpoint"),
    "no storage": (
        files.named("torch._utils", "_rebuild_tensor_v2")
        + files.tuple_of(
            files.tuple_of(files.text("abc"), files.text("float32")), files.number(0), b")", b")"
        )
        + b"R",
        "what is no storage",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_one_line_and_run_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree, match = HOSTILE[name]
    files.write_archive(tmp_path / "a.pth", tree, {"0": b"\0" * 16})
    refused(tmp_path / "a.pth", match)
    assert os.listdir(tmp_path) == ["a.pth"]


def test_hostile_archives_are_one_line(tmp_path):
    path = tmp_path / "a.pth"
    files.write_archive(path, b"}", {"0": b"\0" * 10_000_000}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    refused(path, "compressed, which torch.save never does")
    files.write_archive(path, b"N0" * (_LONGEST_PICKLE // 2), {})
    refused(path, "a pickle of ")
    # An entry that says it is longer than the file.
    files.write_archive(path, b"}", {"0": b"\0" * 16})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(bytes(data))
    refused(path, "more than are there")
    path.write_bytes(path.read_bytes()[:-30])
    refused(path, "not a checkpoint")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b.txt", "c")
    refused(path, r"no data\.pkl in it")
    path.write_bytes(b"\x80\x02}.")
    refused(path, r"a bare pickle, as PyTorch wrote before 1\.6")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda h: h | {"a": h["a"] | {"shape": [2**40]}}, "another size"),
        (lambda h: h | {"a": h["a"] | {"data_offsets": [0, 2**40]}}, "data at 0 to"),
        (lambda h: h | {"b": h["a"]}, "expected from 16 on"),
        (lambda h: h | {"a": h["a"] | {"dtype": "F8_E5M2"}}, "'F8_E5M2' are not read"),
        (lambda h: h | {"a": {"dtype": "F32"}}, "'data_offsets' is missing"),
        (lambda h: {}, "16 bytes of data, its tensors have 0"),
        (lambda h: [], "its header is no JSON object"),
    ],
)
def test_damaged_safetensors_are_one_line(change, match, tmp_path):
    files.save_safetensors(tmp_path / "a", {"a": np.zeros(4, np.float32)}, change)
    refused(tmp_path / "a", match)


def test_any_damage_is_one_line(tmp_path):
    """Bytes flipped and files cut anywhere: read as something else, or refused with the name."""
    files.save_torch(tmp_path / "a.pth", random_state("timm"))
    files.save_safetensors(tmp_path / "a.safetensors", random_state("timm"))
    rng = np.random.default_rng(0)
    for name in ("a.pth", "a.safetensors"):
        whole = (tmp_path / name).read_bytes()
        head = len(whole) // 2 if name == "a.pth" else 4000
        for _ in range(60):
            data = bytearray(whole)
            for at in rng.integers(0, head if rng.random() < 0.7 else len(whole), 3):
                data[at] = rng.integers(0, 256)
            if rng.random() < 0.2:
                del data[rng.integers(0, len(data)) :]
            path = tmp_path / "b"
            path.write_bytes(bytes(data))
            said = str(path)
            try:
                import_weights.import_file(str(path), told())
            except ValueError as error:
                said = str(error)
            assert said.startswith(str(path))


# ---- PyTorch itself, where it is ------------------------------------------------------------


def test_torchvision_itself(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: NumPy stands for it")
    vision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    torch.manual_seed(0)
    model = vision.models.VisionTransformer(
        SIDE, PATCH, DEPTH, HEADS, HEADS * HEAD_DIM, HIDDEN, num_classes=CLASSES
    ).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    _, images, logits = logits_of(tmp_path / "a.pth", tmp_path / "out")
    x = torch.tensor((images - np.asarray(IMAGENET.mean)) / np.asarray(IMAGENET.std)).float()
    expected = model(x.permute(0, 3, 1, 2)).detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)
