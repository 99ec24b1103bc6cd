// SPDX-License-Identifier: Apache-2.0
// Of a model for fuzz_console.c.
#ifndef VIT_MODEL_H_
#define VIT_MODEL_H_
#define VIT_MODEL_IS_IMAGE 1
#define VIT_MODEL_ROW_COUNT 3
#define VIT_MODEL_ROW_BYTES 4
#define VIT_MODEL_OP_COUNT 2
#define VIT_MODEL_OUTPUT_BYTES 3
#define VIT_MODEL_HAS_CLASS_NAMES 1
extern const char* const vit_model_op_names[VIT_MODEL_OP_COUNT];
extern const char* const vit_model_class_names[3];
#endif  // VIT_MODEL_H_
