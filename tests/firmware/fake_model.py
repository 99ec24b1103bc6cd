# SPDX-License-Identifier: Apache-2.0
"""A hand-written compiled model with a known answer, for tests of everything around the model.

Operators:
  0 "project"  logits[c] = clip(sum(image * weights[c]) >> 6), weights from the model's own section
  1 "loop"     spins LOOP_TURNS turns of a loop whose instructions are counted by hand
  2 "stack"    writes STACK_BYTES bytes of stack
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

HEIGHT, WIDTH, CHANNELS, CLASSES = 8, 6, 3, 10
ROW_BYTES = WIDTH * CHANNELS
IMAGE_BYTES = HEIGHT * ROW_BYTES
LOOP_TURNS = 100_000
# fake_loop: mov, the loop (subs, bne) per turn, bx.
LOOP_INSTRUCTIONS = 1 + 2 * LOOP_TURNS + 1
STACK_BYTES = 1024


@dataclasses.dataclass(frozen=True)
class FakeModel:
    """What to vary: how the image arrives, where weights lie, how large the arena is."""

    streamed: bool = False
    section: str = ".rodata.vit_weights"
    arena_bytes: int = 512
    operator_zero_prologue: str = ""


def weights() -> np.ndarray:
    """int8[CLASSES, IMAGE_BYTES]."""
    return np.random.default_rng(7).integers(-128, 128, (CLASSES, IMAGE_BYTES), np.int8)


def reference(image: np.ndarray) -> np.ndarray:
    """int8[CLASSES] logits of int8[HEIGHT, WIDTH, CHANNELS]."""
    total = weights().astype(np.int32) @ image.reshape(-1).astype(np.int32)
    return np.clip(total >> 6, -128, 127).astype(np.int8)


def images(count: int, seed: int = 0) -> np.ndarray:
    """int8[count, HEIGHT, WIDTH, CHANNELS]."""
    shape = (count, HEIGHT, WIDTH, CHANNELS)
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


_HEADER = """\
// SPDX-License-Identifier: Apache-2.0
#ifndef VIT_MODEL_H_
#define VIT_MODEL_H_
#include <stdint.h>
#define VIT_MODEL_ARENA_BYTES {arena_bytes}
#define VIT_MODEL_INPUT_BYTES {image_bytes}
#define VIT_MODEL_OUTPUT_BYTES {classes}
#define VIT_MODEL_OP_COUNT 3
#define VIT_MODEL_STREAMED {streamed}
#define VIT_MODEL_IS_IMAGE 1
#define VIT_MODEL_ROW_COUNT {height}
#define VIT_MODEL_ROW_BYTES ({width} * {channels})
#define VIT_MODEL_IMAGE_HEIGHT {height}
#define VIT_MODEL_IMAGE_WIDTH {width}
#define VIT_MODEL_IMAGE_CHANNELS {channels}
#define VIT_MODEL_CLASSES {classes}
#define VIT_MODEL_INPUT_SCALE 0.0078125f
#define VIT_MODEL_INPUT_ZERO_POINT 0
#define VIT_MODEL_OUTPUT_SCALE 0.5f
#define VIT_MODEL_OUTPUT_ZERO_POINT 0
extern const char* const vit_model_op_names[VIT_MODEL_OP_COUNT];
typedef void (*VitOpHook)(void* context, int op_index, int end);
#define VIT_MODEL_OK 0
int8_t* vit_model_input(uint8_t* arena);
const int8_t* vit_model_output(const uint8_t* arena);
void vit_model_invoke(uint8_t* arena, VitOpHook hook, void* context);
int vit_model_begin(uint8_t* arena);
int vit_model_push_rows(uint8_t* arena, const int8_t* rows, int row_count, VitOpHook hook,
                         void* context);
int vit_model_finish(uint8_t* arena, VitOpHook hook, void* context);
#endif
"""

_SOURCE = """\
// SPDX-License-Identifier: Apache-2.0
#include "vit_model.h"
#include <string.h>
#include "fake_kernel.h"
#define TOTALS 64
#define POSITION 128
#define LOGITS 136
#define IMAGE 160
const char* const vit_model_op_names[VIT_MODEL_OP_COUNT] = {{"project", "loop", "stack"}};
extern const int8_t vit_model_weights[];
static int32_t* totals(uint8_t* arena) {{ return (int32_t*)(void*)(arena + TOTALS); }}
int8_t* vit_model_input(uint8_t* arena) {{ return (int8_t*)(arena + IMAGE); }}
const int8_t* vit_model_output(const uint8_t* arena) {{ return (const int8_t*)(arena + LOGITS); }}
static void tail(uint8_t* arena, VitOpHook hook, void* context) {{
  int8_t* logits = (int8_t*)(arena + LOGITS);
  for (int c = 0; c < VIT_MODEL_CLASSES; ++c) {{
    const int32_t value = totals(arena)[c] >> 6;
    logits[c] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
  }}
  if (hook) hook(context, 1, 0);
  fake_loop({loop_turns});
  if (hook) hook(context, 1, 1);
  if (hook) hook(context, 2, 0);
  fake_stack();
  if (hook) hook(context, 2, 1);
}}
int vit_model_begin(uint8_t* arena) {{
  memset(arena + TOTALS, 0, POSITION + 4 - TOTALS);
  return VIT_MODEL_OK;
}}
int vit_model_push_rows(uint8_t* arena, const int8_t* rows, int row_count, VitOpHook hook,
                         void* context) {{
  int32_t* position = (int32_t*)(void*)(arena + POSITION);
  const int count = row_count * {row_bytes};
  if (hook) hook(context, 0, 0);
  {operator_zero_prologue}
  for (int c = 0; c < VIT_MODEL_CLASSES; ++c) {{
    const int8_t* w = vit_model_weights + c * VIT_MODEL_INPUT_BYTES + *position;
    for (int i = 0; i < count; ++i) totals(arena)[c] += w[i] * rows[i];
  }}
  *position += count;
  if (hook) hook(context, 0, 1);
  return VIT_MODEL_OK;
}}
int vit_model_finish(uint8_t* arena, VitOpHook hook, void* context) {{
  tail(arena, hook, context);
  return VIT_MODEL_OK;
}}
void vit_model_invoke(uint8_t* arena, VitOpHook hook, void* context) {{
  vit_model_begin(arena);
  vit_model_push_rows(arena, vit_model_input(arena), VIT_MODEL_IMAGE_HEIGHT, hook, context);
  tail(arena, hook, context);
}}
"""

_WEIGHTS = """\
// SPDX-License-Identifier: Apache-2.0
  .section {section}, "a", %progbits
  .balign 16
  .global vit_model_weights
  .type vit_model_weights, %object
vit_model_weights:
  .incbin "vit_model_weights.bin"
  .size vit_model_weights, . - vit_model_weights
"""

_KERNEL_HEADER = """\
// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_KERNEL_H_
#define FAKE_KERNEL_H_
void fake_loop(int turns);
void fake_stack(void);
#endif
"""

_KERNEL = """\
// SPDX-License-Identifier: Apache-2.0
#include "fake_kernel.h"
__attribute__((naked, noinline)) void fake_loop(int turns) {{
  (void)turns;
  __asm volatile(".syntax unified\\n mov r1, r0\\n1: subs r1, #1\\n bne 1b\\n bx lr\\n");
}}
__attribute__((noinline)) void fake_stack(void) {{
  volatile char bytes[{stack_bytes}];
  for (int i = 0; i < {stack_bytes}; ++i) bytes[i] = 1;
  (void)bytes[0];
}}
"""


def write(directory: Path, model: FakeModel = FakeModel()) -> tuple[Path, list[Path]]:
    """Writes the model and its kernels; returns the model's directory and the kernel files."""
    target = directory / "model"
    kernels = directory / "kernels"
    target.mkdir(parents=True)
    kernels.mkdir()
    (target / "vit_model.h").write_text(
        _HEADER.format(
            arena_bytes=model.arena_bytes,
            image_bytes=IMAGE_BYTES,
            classes=CLASSES,
            streamed=int(model.streamed),
            height=HEIGHT,
            width=WIDTH,
            channels=CHANNELS,
        )
    )
    (target / "vit_model.c").write_text(
        _SOURCE.format(
            loop_turns=LOOP_TURNS,
            row_bytes=ROW_BYTES,
            operator_zero_prologue=model.operator_zero_prologue,
        )
    )
    (target / "vit_model_weights.S").write_text(_WEIGHTS.format(section=model.section))
    (target / "vit_model_weights.bin").write_bytes(weights().tobytes())
    (kernels / "fake_kernel.h").write_text(_KERNEL_HEADER)
    (kernels / "fake_kernel.c").write_text(_KERNEL.format(stack_bytes=STACK_BYTES))
    return target, sorted(kernels.iterdir())
