// SPDX-License-Identifier: Apache-2.0
#include "app/model_info.h"

#include "app/protocol.h"
#include "vit_model.h"

const ModelInfo model_info = {
    .protocol_version = PROTOCOL_VERSION,
#if VIT_MODEL_IS_IMAGE
    .image_height = VIT_MODEL_IMAGE_HEIGHT,
    .image_width = VIT_MODEL_IMAGE_WIDTH,
    .image_channels = VIT_MODEL_IMAGE_CHANNELS,
    .classes = VIT_MODEL_CLASSES,
    .input_scale = VIT_MODEL_INPUT_SCALE,
    .input_zero_point = VIT_MODEL_INPUT_ZERO_POINT,
    .output_scale = VIT_MODEL_OUTPUT_SCALE,
    .output_zero_point = VIT_MODEL_OUTPUT_ZERO_POINT,
#else
    .image_height = VIT_MODEL_ROW_COUNT,
    .image_width = VIT_MODEL_ROW_BYTES,
    .classes = VIT_MODEL_OUTPUT_BYTES,
#endif
    .streamed = VIT_MODEL_STREAMED,
    .operators = VIT_MODEL_OP_COUNT,
    .arena_bytes = VIT_MODEL_ARENA_BYTES,
};
