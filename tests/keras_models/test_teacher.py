# SPDX-License-Identifier: Apache-2.0
"""Teachers: residual networks, what a training with one minimizes, and what is refused."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_models import train
from keras_models.arch import ArchConfig
from keras_models.datasets import load_dataset
from keras_models.load import (
    ModelNotFoundError,
    build_network,
    load_network,
    resolve_arch,
    resolve_network,
)
from keras_models.resnet import TEACHERS, ResNetConfig, ResNetError, build_resnet
from keras_models.staged import StagedConfig
from keras_models.stages import ConvStage
from keras_models.training import fit
from keras_models.training.checkpoint import CheckpointError, Progress, save_checkpoint
from keras_models.training.precision import (
    PrecisionError,
    computing_in,
    expect_precision,
    has_bfloat16,
)
from keras_models.training.recipe import Recipe
from keras_models.training.setup import check_setup
from keras_models.vit import named_weights, random_weights

PUPIL = ArchConfig.uniform(
    name="pupil",
    image_size=8,
    channels=1,
    num_classes=10,
    patch_size=4,
    embed_dim=16,
    depth=1,
    heads=2,
    head_dim=8,
    mlp_ratio=1.0,
)
STEPS = 3


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", image_size=8, channels=1)


def write_folder(folder, network, seed=5):
    keras.utils.set_random_seed(seed)
    model = build_network(network)
    folder.mkdir()
    network.save(folder / "arch.json")
    model.save_weights(str(folder / "model.weights.h5"))
    return str(folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("t") / "teacher", TEACHERS["test_resnet"])


def job(out, **changes):
    recipe = Recipe(epochs=1, batch_size=32, warmup_epochs=0, drop_path=0.0, randaugment_ops=1)
    return fit.TrainJob(PUPIL, recipe, "digits", "", 3, str(out), 1, False, **changes)


def log_softmax(values):
    values = values - values.max(-1, keepdims=True)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


def test_the_loss_of_a_few_steps_is_the_formula(tmp_path, digits, teacher):
    """(1-d) CE(smoothed labels, z) + d T^2 CE(softmax(t/T), z/T), t of the augmented batch."""
    share, degree = 0.3, 2.5
    task = job(tmp_path, teacher=teacher, distill=share, temperature=degree)
    batches = fit._batches(task, digits)
    plain = fit._batches(job(tmp_path), digits)
    model = fit.compiled_model(task, STEPS)
    _, guide = load_network(teacher)
    for step in range(STEPS):
        images, targets = batches[step]
        same, labels = plain[step]
        np.testing.assert_array_equal(images, same)
        logits = np.asarray(model(images, training=True), np.float64)
        told = np.asarray(guide(images, training=False), np.float64)
        np.testing.assert_allclose(targets[:, 10:], told, atol=1e-4)
        smooth = 0.9 * labels + 0.01
        hard = -(smooth * log_softmax(logits)).sum(-1).mean()
        soft = -(np.exp(log_softmax(told / degree)) * log_softmax(logits / degree)).sum(-1).mean()
        expected = (1 - share) * hard + share * degree**2 * soft
        model.reset_metrics()
        loss, right = model.train_on_batch(images, targets)
        assert loss == pytest.approx(expected, rel=1e-4)
        assert right == pytest.approx((logits.argmax(-1) == labels.argmax(-1)).mean())


def test_drop_path_moves_no_weights(tmp_path, digits, monkeypatch):
    """It changes the order of a network's layers where convolutions are side by side."""
    arch = StagedConfig(
        name="staged", image_size=8, channels=1, num_classes=10,
        stages=(ConvStage("residual", width=4, stride=2), ConvStage("residual", width=4, stride=2)),
    )  # fmt: skip
    task = dataclasses.replace(
        job(tmp_path), arch=arch, recipe=Recipe(epochs=1, batch_size=64, drop_path=0.1)
    )
    trained = []

    def train_to_the_end(model, *_):
        trained.append(random_weights(model, 4))
        return Progress(1, 1.0, [], "")

    monkeypatch.setattr("keras_models.training.loop.train_to_the_end", train_to_the_end)
    final, _ = fit.fit(task, digits)
    names = [list(named_weights(model)) for model in (*trained, final)]
    assert names[0] != names[1]
    images = digits.test.take(4, 0).arrays()[0]
    np.testing.assert_allclose(final(images), trained[0](images, training=False), atol=1e-5)


def test_a_teacher_trains_and_teaches_by_command(tmp_path):
    short = ["--epochs=1", "--batch_size=256", "--jit=off", "--set=randaugment_ops=0"]
    PUPIL.save(tmp_path / "pupil.json")
    made, out = tmp_path / "made", tmp_path / "out"
    train.main([f"--out={made}", "--network=test_resnet", *short])
    report = json.loads((made / "train.json").read_text())
    assert report["params"] == TEACHERS["test_resnet"].params
    network, model = load_network(str(made))
    assert network == TEACHERS["test_resnet"]
    assert (
        train.accuracy(model, load_dataset("digits", image_size=8, channels=1), "test")
        == (report["test_accuracy"])
    )
    words = [
        f"--out={out}",
        f"--network={tmp_path}/pupil.json",
        *short,
        f"--teacher={made}",
        "--distill=0.5",
    ]
    train.main([*words, "--temperature=3"])
    report = json.loads((out / "train.json").read_text())
    assert report["teacher"] == fit.digest_of(str(made))
    assert (report["distill"], report["temperature"]) == (0.5, 3.0)
    # What was trained is a start for the same network with other classes, and for no other.
    task = dataclasses.replace(job(tmp_path / "next"), initial=str(out))
    started = fit.compiled_model(task, 1)
    for a, b in zip(started.get_weights(), load_network(str(out))[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    fewer = dataclasses.replace(task, arch=PUPIL.replace(num_classes=3))
    for a, b in zip(fit.compiled_model(fewer, 1).get_weights()[:-2], started.get_weights()[:-2],
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    # A larger one begins as it (test_growth.py), one of another form is refused.
    wider = dataclasses.replace(task, arch=PUPIL.replace(embed_dim=32))
    grown = fit.compiled_model(wider, 1).get_layer("block0_qkv").kernel[:16, :16]
    np.testing.assert_array_equal(grown, started.get_layer("block0_qkv").kernel[:, :16])
    other = dataclasses.replace(task, arch=PUPIL.replace(head_dim=4))
    with pytest.raises(ModelNotFoundError, match="other head_dim than --network"):
        fit.compiled_model(other, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distill=0.5"], "--distill needs --teacher=FOLDER"),
        (["--teacher={t}"], "--teacher needs --distill=0.5, its share of the loss"),
        (
            ["--teacher={t}", "--distill=1", "--network=test_tiny"],
            "a teacher of 8 pixels, 1 channels and 10 ",
        ),
        (["--teacher=/nonexistent", "--distill=1"], "/nonexistent: no such directory"),
        (["--initial={t}"], "another kind of network than --network"),
    ],
)
def test_what_cannot_teach_is_one_line(words, message, teacher, tmp_path, capsys):
    PUPIL.save(tmp_path / "pupil.json")
    base = [f"--out={tmp_path}/o", f"--network={tmp_path}/pupil.json"]
    with pytest.raises(SystemExit) as end:
        train.main([*base, *(word.format(t=teacher) for word in words)])
    assert end.value.code == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]


def test_another_teacher_or_none_is_another_training(tmp_path, digits, teacher):
    other = write_folder(tmp_path / "other", TEACHERS["test_resnet"], seed=6)
    taught = job(tmp_path, teacher=teacher, distill=0.5)
    model = fit.compiled_model(taught, 1)
    model.optimizer.build(model.trainable_variables)
    path = str(tmp_path / "c.npz")
    save_checkpoint(path, model, Progress(1, 1.0, [], taught.setup(digits)))
    check_setup(path, taught.setup(digits))
    for changed in (job(tmp_path), job(tmp_path, teacher=other, distill=0.5)):
        with pytest.raises(CheckpointError, match="made with another"):
            check_setup(path, changed.setup(digits))


@pytest.mark.parametrize("name", TEACHERS)
def test_sizes_of_residual_networks(name):
    config = TEACHERS[name]
    model = build_resnet(config)
    assert config.params == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    macs = sum(
        int(np.prod(layer.kernel.shape)) * layer.output.shape[1] * layer.output.shape[2]
        for layer in convolutions
    )
    assert config.macs == macs + config.widths[-1] * config.num_classes


def test_residual_networks_are_files_and_no_transformers(tmp_path):
    config = ResNetConfig(name="mine", image_size=16, widths=(4, 6), blocks=(1, 2))
    config.save(tmp_path / "a.json")
    assert resolve_network(str(tmp_path / "a.json")) == config
    for name in (str(tmp_path / "a.json"), "resnet_32"):
        with pytest.raises(ModelNotFoundError, match="is a residual network, which is trained"):
            resolve_arch(name)
    for text, message in (
        ('{"kind": "resnet", "depth": 3}', "depth: unknown field"),
        ('{"kind": "resnet", "widths": [4, 8, 8], "blocks": [1]}', "blocks: got .* one per stage"),
        ('{"kind": "resnet", "image_size": 30}', "a multiple of 4"),
        ('{"kind": "resnet", "widths": 4}', "widths"),
    ):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(ResNetError, match=message):
            resolve_network(str(tmp_path / "b.json"))


def test_bfloat16_keeps_weights_logits_and_statistics_in_float32():
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32)
    for network in (PUPIL, TEACHERS["test_resnet"]):
        exact = build_network(network)
        with computing_in("bfloat16"):
            short = build_network(network)
        assert {v.dtype for v in short.trainable_variables} == {"float32"}
        short.set_weights(exact.get_weights())
        told = np.asarray(short(images), np.float64)
        wanted = np.asarray(exact(images), np.float64)
        assert short(images).dtype == np.float32
        error = np.abs(told - wanted).max() / np.abs(wanted).max()
        assert 1e-5 < error < 0.05  # it is computed in eight bits, and no worse
        assert keras.config.dtype_policy().name == "float32"
    task = dataclasses.replace(job(""), jit="auto", precision="bfloat16")
    assert fit._jit(task) == ("auto" if fit.accelerated() else False)
    assert fit._jit(dataclasses.replace(task, precision="float32")) == "auto"


def test_a_processor_without_bfloat16_is_one_line(tmp_path, monkeypatch):
    assert has_bfloat16("processor : 0\nflags\t\t: fpu avx512_bf16 sse\n")
    assert has_bfloat16("Features\t: fp asimd bf16\n")
    assert not has_bfloat16("flags : fpu avx2\nmodel name : avx512_bf16\n")
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2\n")
    monkeypatch.setattr("keras_models.training.precision._CPUINFO", str(tmp_path / "cpuinfo"))
    monkeypatch.setattr("keras_models.training.precision.accelerated", lambda: False)
    expect_precision("float32")
    with pytest.raises(PrecisionError, match=r"no bfloat16 instructions .*leave the flag out"):
        expect_precision("bfloat16")
