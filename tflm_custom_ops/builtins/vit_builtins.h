// SPDX-License-Identifier: Apache-2.0
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_
#include <stddef.h>
#include <stdint.h>
#endif
