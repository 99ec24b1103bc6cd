# SPDX-License-Identifier: Apache-2.0
"""Architectures: validation, JSON, derived sizes."""

import json

import pytest

from keras_models.arch import ArchConfig, ArchError, BlockRanks, StemLayer
from keras_models.presets import PRESETS, get_preset


@pytest.mark.parametrize("arch", PRESETS.values(), ids=PRESETS)
def test_json_round_trip(arch):
    assert ArchConfig.from_json(arch.to_json()) == arch


def test_save_and_load_name_the_file(tmp_path):
    path = tmp_path / "arch.json"
    arch = get_preset("test_mixed")
    arch.save(path)
    assert ArchConfig.load(path) == arch
    assert [p.name for p in tmp_path.iterdir()] == ["arch.json"]
    path.write_text('{"embed_dim": ')
    with pytest.raises(ArchError, match=r"arch\.json.*not JSON"):
        ArchConfig.load(path)
    with pytest.raises(ArchError, match=r"missing\.json: cannot read"):
        ArchConfig.load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("changes", "field", "got"),
    [
        ({"embed_dim": 0}, "embed_dim", "0"),
        ({"embed_dim": 192.0}, "embed_dim", "192.0"),
        ({"embed_dim": True}, "embed_dim", "True"),
        ({"image_size": -1}, "image_size", "-1"),
        ({"patch_size": 7}, "patch_size", "7"),
        ({"patch_padding": 16}, "patch_padding", "16"),
        ({"heads": ()}, "heads", "()"),
        ({"heads": (3,) * 11 + (0,)}, "heads[11]", "0"),
        ({"heads": 3}, "heads", "3"),
        ({"mlp_ratio": (4.0,) * 11}, "mlp_ratio", "(4.0"),
        ({"mlp_ratio": (4.0,) * 11 + (3.3,)}, "mlp_ratio[11]", "3.3"),
        ({"pool": "max"}, "pool", "'max'"),
        ({"activation": "relu"}, "activation", "'relu'"),
        ({"attention": "fused"}, "attention", "'fused'"),
        ({"norm": "batch"}, "norm", "'batch'"),
        ({"norm_epsilon": 0.0}, "norm_epsilon", "0.0"),
        ({"ranks": (BlockRanks(),)}, "ranks", "(BlockRanks"),
        ({"ranks": (BlockRanks(qkv=193),) + (BlockRanks(),) * 11}, "ranks[0].qkv", "193"),
        ({"stem": (StemLayer(2, 1, 8),)}, "stem[0].kernel", "2"),
        ({"stem": (StemLayer(3, 1, 8), StemLayer(3, 1, 0))}, "stem[1].channels", "0"),
        ({"stem": (StemLayer(3, 1, 8, "tanh"),)}, "stem[0].activation", "'tanh'"),
        ({"image_size": 30, "stem": (StemLayer(3, 4, 8),)}, "stem[0].stride", "4"),
        ({"num_classes": 0}, "num_classes", "0"),
        ({"name": ""}, "name", "''"),
    ],
)
def test_errors_name_field_value_and_expectation(changes, field, got):
    with pytest.raises(ArchError) as error:
        get_preset("vit_t_240").replace(**changes)
    message = str(error.value)
    assert message.startswith(f"ArchConfig.{field}: got {got}")
    assert ", expected " in message


def test_keras_attention_refuses_low_rank():
    with pytest.raises(ArchError, match=r"ranks\[0\]"):
        get_preset("test_lowrank").replace(attention="keras")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a JSON object"),
        ('{"embed_dims": 5}', r"embed_dims: unknown field, expected one of .*embed_dim"),
        ('{"heads": 3}', "ArchConfig.heads: got 3, expected a list"),
        ('{"stem": [{"kernel": 3}]}', r"stem\[0\]"),
        ('{"ranks": [{"q": 3}]}', r"ranks\[0\]\.q: unknown field"),
    ],
)
def test_json_errors(text, message):
    with pytest.raises(ArchError, match=message):
        ArchConfig.from_json(text)


def test_left_out_fields_take_their_defaults():
    data = json.loads(ArchConfig().to_json())
    del data["pool"], data["stem"]
    assert ArchConfig.from_json(json.dumps(data)) == ArchConfig()


def test_benchmark_network_is_the_designs():
    arch = get_preset("vit_t_240")
    assert (arch.tokens, arch.embed_dim, arch.depth, arch.num_classes) == (225, 192, 12, 1000)
    assert set(arch.heads) == {3}
    assert arch.head_dim == 64
    assert set(arch.mlp_ratio) == {4.0}
    assert (arch.activation, arch.pool) == ("gelu", "mean")
    # 12 blocks of 4*d*d + 8*d*d weights and 9 d biases and 4 d norms; patch, positions, head.
    d = 192
    blocks = 12 * (12 * d * d + (3 + 1 + 4 + 1) * d + 4 * d)
    assert arch.params == blocks + (16 * 16 * 3 + 1) * d + 225 * d + 2 * d + 1000 * d + 1000
    assert arch.macs == (12 * (225 * 12 * d * d + 2 * 225 * 225 * d) + 225 * 768 * d + 1000 * d)


def test_padding_gives_mcuformers_grids():
    arch = get_preset("mcuformer_t_max")
    assert arch.replace(patch_size=28, patch_padding=6).grid == 9
    assert arch.replace(patch_size=32, patch_padding=8).grid == 8
    with pytest.raises(ArchError, match="change patch_size or patch_padding"):
        arch.replace(patch_size=28)


def test_cifar_network_leaves_room_for_code_in_one_megabyte():
    arch = get_preset("vit_micro_32")
    channels = sum(out for b in range(arch.depth) for _, out, _ in arch.block_linears(b))
    # Weights as bytes; a bias is four bytes and a per-channel multiplier and shift eight more.
    assert arch.params + 11 * channels < (1 << 20) - 100 * 1024


def test_unknown_preset_lists_those_there_are():
    with pytest.raises(ValueError, match=r"'vit_x' does not exist.*vit_digits"):
        get_preset("vit_x")
