# SPDX-License-Identifier: Apache-2.0
"""What every test run has, also one that was not started by `make test`."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# As in the Makefile: tests that count a command's lines of error must not count TensorFlow's about
# drivers of a GPU. Set before anything imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# One process a core already: BLAS threads that wait for each other only take time from the others.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes says how busy the machine is.
settings.register_profile(
    "tests", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Of python -m benchmarks.mutations: the same draws each time, none that another fault left behind;
# that a test fails is enough.
settings.register_profile(
    "mutations",
    settings.get_profile("tests"),
    phases=(Phase.explicit, Phase.generate),
    derandomize=True,
    database=None,
)
settings.load_profile(os.environ.get("VIT_HYPOTHESIS_PROFILE", "tests"))

# More than about 15 seconds each, the longest first. A process takes whole files in this order; one
# that comes last would run alone.
LONG_FILES = (
    "nas/supernet/test_distribution.py",
    "converter/qat/test_qat.py",
    "converter/fuse/test_families.py",
    "keras_models/test_train.py",
    "nas/supernet/test_supernet.py",
    "tflm_custom_ops/dsp/test_dsp_kernels.py",
    "firmware/test_footprint.py",
    "end_to_end/test_whole_networks.py",
    "nas/supernet/test_train_supernet.py",
    "converter/sensitivity/test_sensitivity.py",
    "converter/fuse/gate/test_planted_faults.py",
    "converter/plan/test_runtimes.py",
    "end_to_end/test_keras_io_vit.py",
    "keras_models/test_conversion.py",
    "converter/quantize/test_quantize.py",
    "tflm_custom_ops/kernels/test_sanitizers.py",
    "converter/qat/test_qat_command.py",
    "nas/cost/test_cost.py",
    "converter/quantize/test_model_files.py",
    "benchmarks/test_frozen.py",
    "converter/calibration/test_ranges.py",
    "converter/plan/test_model.py",
    "keras_models/test_teacher.py",
    "converter/inspect/test_inspect.py",
    "nas/search/test_search.py",
)
_PLACE = {Path(__file__).parent / name: place for place, name in enumerate(LONG_FILES)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _PLACE.get(item.path, len(_PLACE)))
