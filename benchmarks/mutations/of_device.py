# SPDX-License-Identifier: Apache-2.0
"""Faults of what runs on a device: protocol, kernels, parser of options."""

from __future__ import annotations

from benchmarks.mutations.fault import Fault

_PROTOCOL = "firmware/src/app/protocol.c"
_FRAME = "firmware/src/app/frame.c"
_PROTOCOL_TESTS = ("tests/firmware/test_protocol.py",)
_SOFTMAX = "tflm_custom_ops/kernels/vit_softmax.c"
_NORM = "tflm_custom_ops/kernels/vit_norm_math.h"
_KERNEL_TESTS = ("tests/tflm_custom_ops/kernels/test_kernels_match_reference.py",)
_SANITIZER_TESTS = ("tests/tflm_custom_ops/kernels/test_sanitizers.py",)
_PATCH = "tflm_custom_ops/ops/patch_embed/vit_patch_embed.c"
_RELATIVE = "tflm_custom_ops/ops/attention/vit_relative.c"
_WINDOWS = "tflm_custom_ops/ops/attention/vit_windows.c"
_READER = "tflm_custom_ops/kernels/vit_reader.c"
_ATTENTION = "tflm_custom_ops/ops/attention/params.py"
_PARITY_TESTS = ("tests/tflm_custom_ops/ops/test_parser_parity.py",)
_LIMIT_TESTS = ("tests/tflm_custom_ops/ops/test_limits.py",)

FAULTS: tuple[Fault, ...] = (
    # The console protocol: the findings' three, and others of their kind.
    Fault("row beyond the image", _PROTOCOL, "row > expected || row >= VIT_MODEL_ROW_COUNT",
          "row > expected", _PROTOCOL_TESTS),
    Fault("finish of another image", _PROTOCOL,
          "!image_begun || read_u32(request->payload) != image_number", "!image_begun",
          _PROTOCOL_TESTS),
    Fault("escape before the flag", _FRAME, "!receiver->escaped && is_frame", "is_frame",
          _PROTOCOL_TESTS),
    Fault("images without weights", _PROTOCOL, "if (images_refused) {", "if (0) {",
          _PROTOCOL_TESTS),
    Fault("a row that the model refused", _PROTOCOL,
          "!classifier_push((const int8_t*)(request->payload + ROW_NUMBER_BYTES), 1)",
          "(classifier_push((const int8_t*)(request->payload + ROW_NUMBER_BYTES), 1), 0)",
          _PROTOCOL_TESTS),
    Fault("row that is ahead", _PROTOCOL, "row > expected ||", "row > expected + 1 ||",
          _PROTOCOL_TESTS),
    Fault("operator beyond the last", _PROTOCOL, "index >= VIT_MODEL_OP_COUNT",
          "index > VIT_MODEL_OP_COUNT", _PROTOCOL_TESTS),
    Fault("model run twice", _PROTOCOL, "const bool first_time = image_logits == NULL;",
          "const bool first_time = true;", _PROTOCOL_TESTS),
    Fault("overlong frame", _FRAME, "length <= receiver->capacity && length >=", "length >=",
          _PROTOCOL_TESTS),
    Fault("frame without a check", _FRAME, "if (~frame_crc32_update(CRC_START, receiver->bytes, "
          "covered) ==\n        read_u32(receiver->bytes + covered)) {", "if (covered) {",
          _PROTOCOL_TESTS),
    Fault("flag inside a frame is sent", _FRAME, "if (byte == FRAME_FLAG || byte == FRAME_ESCAPE)",
          "if (byte == FRAME_ESCAPE)", _PROTOCOL_TESTS),
    # Kernels.
    Fault("last score is no maximum", _SOFTMAX,
          "for (int32_t j = 1; j < tokens; ++j) maximum", "for (int32_t j = 2; j < tokens; ++j) "
          "maximum", _KERNEL_TESTS),
    Fault("scores far below wrap", _SOFTMAX,
          "if (softmax->shift > 0 && (adds || !fits))",
          "if (softmax->shift > 0 && ((adds && !adds) || !fits))",
          _KERNEL_TESTS),
    Fault("exponentials behind the last key stay", _SOFTMAX,
          "e[vit_wide_at(j)] = 0;", "(void)e;", _KERNEL_TESTS),
    Fault("last exponentials are not summed", _SOFTMAX, "total += last[i - j];", "total += 0;",
          _KERNEL_TESTS),
    Fault("square sum of an int16 row", _NORM, "vit_norm_sums_int16(const int16_t* x, int32_t d) "
          "{\n  int32_t sum = 0;\n  int64_t square_sum = 0;",
          "vit_norm_sums_int16(const int16_t* x, int32_t d) {\n  int32_t sum = 0;\n  "
          "int32_t square_sum = 0;", _KERNEL_TESTS),
    Fault("variance of zero", _NORM, "  if (v < 1) v = 1;\n", "", _SANITIZER_TESTS),
    Fault("square root of 15 bits", _NORM, "bit = 0x4000; bit; bit >>= 1",
          "bit = 0x4000; bit > 1; bit >>= 1", _KERNEL_TESTS),
    # Planes, relative positions, windows.
    Fault("planes are taken for pixels", _PATCH, "if (p->planes) return", "if (0) return",
          _KERNEL_TESTS),
    Fault("rows of a plane are as long as pixels", _PATCH,
          "in += p->image_width * planes.channels;", "in += p->image_width * p->channels;",
          _KERNEL_TESTS),
    Fault("distance is not cut", _RELATIVE,
          "p->relative_distance + 1 - vit_min32(from, p->relative_distance)",
          "p->relative_distance + 1 - from", _KERNEL_TESTS),
    Fault("relative keys are rounded down", _RELATIVE, "half = (1 << shift) >> 1",
          "half = (1 << shift) >> 2", _KERNEL_TESTS),
    Fault("class token by rows alone", _RELATIVE, "+= rows[0] + columns[0];", "+= rows[0];",
          _KERNEL_TESTS),
    Fault("values by rows of the class token", _RELATIVE, "columns[0] = rows[0];", "",
          _KERNEL_TESTS),
    Fault("edges of a roll see each other", _WINDOWS,
          "first + window == length ? window - shift : window",
          "first + window == length ? window - 0 * shift : window", _KERNEL_TESTS),
    Fault("Swin's bias by rows alone", _WINDOWS, "* stride + side - 1 - column;",
          "* stride + side - 1;", _KERNEL_TESTS),
    # Parser of options.
    Fault("array beyond the blob", _READER, "(uint64_t)count <= bytes_left / ",
          "(uint64_t)count <= 4 + bytes_left / ", _PARITY_TESTS),
    Fault("odd offset of an array", _READER, "offset >= 0 && offset % 4 == 0 &&", "offset >= 0 &&",
          _PARITY_TESTS),
    Fault("words behind the last", _READER, "vit_expect(r, r->next == r->words, kVitTruncated);",
          "", _LIMIT_TESTS),
    Fault("another version", _READER, "vit_read(&r) == VIT_OPTIONS_VERSION",
          "vit_read(&r) <= VIT_OPTIONS_VERSION", _PARITY_TESTS),
    Fault("epsilon of 50 bits", "tflm_custom_ops/ops/parts.py",
          "epsilon: Annotated[int, Word64(49)]", "epsilon: Annotated[int, Word64(50)]",
          _LIMIT_TESTS),
    Fault("key of -128", _ATTENTION, 'Check("k.up.out_min >= -127"', 'Check("k.up.out_min >= -128"',
          _LIMIT_TESTS),
    Fault("sum of exponentials of 24 bits", _ATTENTION, "largest * tokens < 1 << 23",
          "largest * tokens <= 1 << 23", _PARITY_TESTS),
)  # fmt: skip
