# SPDX-License-Identifier: Apache-2.0
"""The flags that several commands take: one name, one meaning, one default for each.

A command defines those that it takes on its own `FlagSet`, and says what is particular to it:

    FLAGS = FlagSet("fuse", __doc__)
    _MODEL = flags.model(FLAGS, "Plain int8 .tflite (static batch 1).")
    _SEED = flags.seed(FLAGS, "Of the search.")

Spellings of earlier versions are refused and the new one is named (`tflm_vit.old_flags`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_vit.flag_set import Flag, FlagError, FlagSet
from tflm_vit.threads import usable_cores

__all__ = ["Flag", "FlagError", "FlagSet"]

RESIDUAL_BITS = ("8", "16")
WEIGHTS_IN = ("auto", "internal", "external")
COLOR_ORDERS = ("RGB", "BGR")

# ---- what goes in -----------------------------------------------------------------------------


def model(to: FlagSet, text: str, required: bool = True) -> Flag[str]:
    """A `.tflite` file, whatever its state."""
    return to.string("model", "", text, required)


def plain_model(to: FlagSet, text: str) -> Flag[str]:
    """The plain `.tflite` beside a fused one."""
    return to.string("plain_model", "", text)


def network(to: FlagSet, text: str = "", default: str = "", required: bool = False) -> Flag[str]:
    """A Keras network: what `keras_models.load.resolve_model` takes."""
    what = "Network: a preset's name, an architecture's JSON file or a trained folder."
    return to.string("network", default, f"{what} {text}".strip(), required)


def networks(
    to: FlagSet, default: Sequence[str], text: str = "names of presets, with random weights."
) -> Flag[list[str]]:
    return to.words("networks", default, f"Networks: {text}")


def trained(to: FlagSet) -> Flag[list[str]]:
    return to.words("trained", [], "Trained folders; without any the table alone is written.")


def before(to: FlagSet) -> Flag[list[str]]:
    """What a `trained` folder's weights were before."""
    text = "Trained folders that --trained began from, the first one first."
    return to.words("before", [], text)


def weights(to: FlagSet, default: str = "trained") -> Flag[str]:
    """Which weights a `network` has."""
    text = "Weights of --network: trained, random (see --seed), or a .weights.h5 file."
    return to.string("weights", default, text)


def dataset(to: FlagSet, names: Sequence[str], text: str, default: str = "") -> Flag[str]:
    return to.enum("dataset", default, names, text)


def task(to: FlagSet, names: Sequence[str], text: str) -> Flag[str]:
    """What a network is for: `keras_models.tasks`."""
    return to.enum("task", "", names, text)


def data_dir(to: FlagSet) -> Flag[str]:
    return to.string("data_dir", "", "Folder of --dataset, where it is one of files.")


def split_sizes(to: FlagSet, train: int) -> None:
    """How much of a data set is made, `train` by default of the training split."""
    to.integer("train", train, "Pictures of the training split.", 1)
    to.integer("validation", 250, "Of the validation split.", 1)
    to.integer("test", 500, "Of the test split.", 1)


def allow_other_data(to: FlagSet) -> Flag[bool]:
    text = "Go on although the data set is not the one of the training."
    return to.boolean("allow_other_data", False, text)


def images(to: FlagSet, text: str = "", required: bool = False) -> Flag[list[str]]:
    """Files, never a number: that is `count`."""
    what = "Image files, or folders of them."
    return to.files("images", f"{what} {text}".strip(), "the number of images is --count", required)


def question(to: FlagSet) -> Flag[str]:
    """What a model of an image and a question is asked."""
    text = "Of a model that takes one, about every image: 'what shape is red?'."
    return to.string("question", "", text)


def count(to: FlagSet, text: str, default: int = 0, low: int = 0) -> Flag[int]:
    """A number of images."""
    return to.integer("count", default, text, low)


def emulated_count(to: FlagSet, default: int, text: str, low: int = 0) -> Flag[int]:
    """The same for the emulated board, which takes long for each image."""
    return to.integer("emulated_count", default, text, low)


def calibration_dir(to: FlagSet) -> Flag[str]:
    text = "Calibration images from anywhere under this folder instead of --dataset."
    return to.string("calibration_dir", "", text)


def calibration_file(to: FlagSet, text: str = "") -> Flag[str]:
    what = "NumPy file [n, ...] of inputs as the network takes them."
    return to.string("calibration_file", "", f"{what} {text}".strip())


def calibration_count(to: FlagSet, default: int = 64, more: str = "") -> Flag[int]:
    text = f"Number of calibration images, drawn with --seed.{more}"
    return to.integer("calibration_count", default, text, 1)


def calibration(to: FlagSet, methods: Sequence[str]) -> Flag[str]:
    text = "How activation ranges are chosen from the calibration images."
    return to.enum("calibration", "minmax", methods, text)


def seed(to: FlagSet, text: str, default: int = 0) -> Flag[int]:
    return to.integer("seed", default, text, 0, 2**32 - 1)


def mean(to: FlagSet) -> Flag[list[str]]:
    """With `std`: how an image's bytes become the values that a network takes."""
    text = (
        "Mean of --std: a byte u of an image becomes (u - mean) / std. One number, or one for each "
        "channel of the network; without both what the model says."
    )
    return to.words("mean", [], text)


def std(to: FlagSet) -> Flag[list[str]]:
    text = "Standard deviation in steps of a byte: --mean=0 --std=255 is u / 255. See --mean."
    return to.words("std", [], text)


def color_order(to: FlagSet) -> Flag[str]:
    text = "Order of three channels in the network; without it what the model says, or RGB."
    return to.enum("color_order", "", COLOR_ORDERS, text)


def labels(to: FlagSet) -> Flag[str]:
    text = "Text file with the name of a class on each line, in the order of the outputs."
    return to.string("labels", "", text)


def samples(to: FlagSet, default: int, text: str, low: int = 1) -> Flag[int]:
    """A number of random networks or operators."""
    return to.integer("samples", default, text, low)


# ---- what it is for ---------------------------------------------------------------------------


def board(to: FlagSet, text: str, default: str = "") -> Flag[str]:
    """A built-in board or a JSON file of one."""
    return to.string("board", default, text)


def sram(to: FlagSet) -> Flag[int | None]:
    """Everything; the arena alone is `arena`."""
    text = "SRAM in bytes for everything: arena, stack and static data."
    return to.integer("sram", None, text, 1)


def arena(to: FlagSet) -> Flag[int | None]:
    text = "Bytes that the arena alone may take; without it the least that good tiles need."
    return to.integer("arena", None, text, 1)


def flash(to: FlagSet) -> Flag[int | None]:
    text = "Internal flash in bytes, for code and for constants that are not in external flash."
    return to.integer("flash", None, text, 1)


def external_flash(to: FlagSet) -> Flag[int | None]:
    text = "Memory-mapped external flash in bytes, for the weights; 0: not used."
    return to.integer("external_flash", None, text, 0)


def clock_hz(to: FlagSet) -> Flag[int | None]:
    return to.integer("clock_hz", None, "Clock of the core, instead of the board's.", 1)


def latency_ms(to: FlagSet) -> Flag[float | None]:
    return to.number("latency_ms", None, "Limit of the estimated latency.")


def weights_in(to: FlagSet) -> Flag[str]:
    text = "Flash that holds the weights; auto: internal where they fit or no board is named."
    return to.enum("weights_in", "auto", WEIGHTS_IN, text)


def streamed(to: FlagSet) -> Flag[bool]:
    text = "The application pushes image rows, and the arena holds one strip of them."
    return to.boolean("streamed", False, text)


def residual_bits(to: FlagSet, more: str = "") -> Flag[str]:
    return to.enum("residual_bits", "8", RESIDUAL_BITS, f"Bits of the residual stream.{more}")


def weight_bits(to: FlagSet) -> Flag[str]:
    text = "Bits of the weights of what is fused; auto: 4 for as few layers as --flash needs."
    return to.enum("weight_bits", "8", ("8", "4", "auto"), text)


def code_bytes(to: FlagSet) -> Flag[int]:
    """Beside the constants of a model."""
    text = "Code of the firmware, and constants beside the model's."
    return to.integer("code_bytes", 0, text)


def runtime(to: FlagSet, names: Sequence[str], default: str, text: str) -> Flag[str]:
    """What runs the model; one."""
    return to.enum("runtime", default, names, text)


def runtimes(to: FlagSet, default: Sequence[str], text: str) -> Flag[list[str]]:
    """The same, several with commas between them."""
    return to.words("runtime", default, text)


def threads(to: FlagSet) -> Flag[int]:
    cores = usable_cores()
    return to.integer("threads", cores, "Threads of litert and host.", 1, 4096)


def timeout(to: FlagSet) -> Flag[float]:
    """How long a board may take, a real one or an emulated one."""
    text = "Seconds to wait for an inference; of an emulated board its own time, by its clock."
    return to.number("timeout", 60.0, text, 0.001, 1e6)


# ---- what comes out ---------------------------------------------------------------------------


def out(to: FlagSet, text: str, required: bool = True, default: str = "") -> Flag[str]:
    """The result: a file or a folder, as the command says."""
    return to.string("out", default, text, required)


def json(to: FlagSet) -> Flag[str]:
    return to.string("json", "", "File for the report as JSON.")


def png(to: FlagSet) -> Flag[str]:
    return to.string("png", "", "File for the report as a picture.")


def html(to: FlagSet) -> Flag[str]:
    text = "File for the report as one page; needs the packages of the extra `report`."
    return to.string("html", "", text)


def overwrite(to: FlagSet, text: str) -> Flag[bool]:
    return to.boolean("overwrite", False, text)


def resume(to: FlagSet, text: str) -> Flag[bool]:
    return to.boolean("resume", False, text)


def name(to: FlagSet, default: str, text: str) -> Flag[str]:
    return to.string("name", default, text)


# ---- training ---------------------------------------------------------------------------------


def epochs(to: FlagSet, text: str = "Short for --set=epochs=N.") -> Flag[int | None]:
    return to.integer("epochs", None, text, 1, 10**6)


def batch_size(to: FlagSet) -> Flag[int | None]:
    return to.integer("batch_size", None, "Short for --set=batch_size=N.", 1, 10**6)


def recipe_fields(to: FlagSet) -> Flag[list[str]]:
    return to.repeated("set", "Field of the training recipe, FIELD=VALUE; may be repeated.")


def initial(to: FlagSet, what: str) -> Flag[str]:
    """What a training starts from instead of random weights."""
    return to.string("initial", "", f"Trained folder of {what} to start from.")


def teacher(to: FlagSet) -> Flag[str]:
    return to.string("teacher", "", "Trained folder of a network to imitate; see --distill.")


def distill(to: FlagSet) -> Flag[float]:
    text = "Share of imitation of a teacher, or of a larger network, in the loss."
    return to.number("distill", 0.0, text, 0.0, 1.0)


def qat_epochs(to: FlagSet, text: str, default: int, low: int = 1) -> Flag[int]:
    return to.integer("qat_epochs", default, text, low, 10**6)


def qat_learning_rate(to: FlagSet) -> Flag[float]:
    text = "Learning rate of Adam while fine-tuning, falling to 0."
    return to.number("qat_learning_rate", 1e-4, text)


def qat_dir(to: FlagSet, text: str) -> Flag[str]:
    return to.string("qat_dir", "", text)


def pretrain(to: FlagSet, text: str, default: int | None = None) -> Flag[int] | Flag[int | None]:
    """Of a training on fractals that comes before another one."""
    text = f"Epochs on fractals before. {text}".strip()
    return to.integer("pretrain", default, text, 1)


def spaces(to: FlagSet, default: Sequence[str], text: str) -> Flag[list[str]]:
    """Several search spaces."""
    return to.words("spaces", default, text)


def workers(to: FlagSet, default: int, text: str, low: int = 0) -> Flag[int]:
    """Processes; what they do the command says."""
    return to.integer("workers", default, text, low, 4096)


def checkpoint_every(to: FlagSet) -> Flag[int]:
    return to.integer("checkpoint_every", 1, "Epochs between two checkpoints.", 1, 10**6)


# ---- benchmarks -------------------------------------------------------------------------------


def runs(to: FlagSet, default: int) -> Flag[int]:
    return to.integer("runs", default, "Timed runs of each; the best one counts.", 1)


def seconds(to: FlagSet, default: int) -> Flag[int]:
    return to.integer("seconds", default, "Processor time of a run, at least.", 1)


def only(to: FlagSet, text: str) -> Flag[list[str]]:
    return to.words("only", [], text)


def cases(to: FlagSet, text: str, required: bool = False) -> Flag[str]:
    """A folder of files of others."""
    return to.string("cases", "", text, required=required)


def work(to: FlagSet, text: str) -> Flag[str]:
    """A folder that a benchmark fills, and goes on in."""
    return to.string("work", "", text, required=True)


def seeds(to: FlagSet, count: int, text: str) -> Flag[list[str]]:
    """The first so many by default."""
    return to.words("seeds", [str(seed) for seed in range(count)], f"Seeds. {text}")
