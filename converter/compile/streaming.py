# SPDX-License-Identifier: Apache-2.0
"""C of begin / push_rows / finish: the image arrives in rows and is never held whole."""

from __future__ import annotations

from converter.compile.calls import address
from converter.compile.errors import CompileError
from converter.compile.planned import PlannedGraph
from tflm_custom_ops.ops import Params, operator_of

_FUNCTIONS = """\
typedef struct {{
  uint32_t begun;     // STREAM_BEGUN between begin and finish
  int32_t rows;       // image rows received
  int32_t strip;      // the next strip of patches to embed
  int32_t first_row;  // image row at the start of the strip buffer
}} StreamState;

#define STREAM_BEGUN 0x56695453u
#define STREAM_STATE_OFFSET {state}  // after the planned arena
#define ROW_BYTES (VIT_MODEL_IMAGE_WIDTH * VIT_MODEL_IMAGE_CHANNELS)

static StreamState* stream_state(uint8_t* arena) {{
  return (StreamState*)(void*)(arena + STREAM_STATE_OFFSET);
}}

// First image row of a strip, and one past its last; both inside the image.
static int32_t strip_first_row(int32_t strip) {{
  const int32_t row = strip * kOp0.stride_y - kOp0.pad_top;
  return row > 0 ? row : 0;
}}

static int32_t strip_end_row(int32_t strip) {{
  const int32_t row = strip * kOp0.stride_y - kOp0.pad_top + kOp0.patch_height;
  return row < VIT_MODEL_IMAGE_HEIGHT ? row : VIT_MODEL_IMAGE_HEIGHT;
}}

int vit_model_begin(uint8_t* arena) {{
  StreamState* state = stream_state(arena);
#ifdef VIT_MODEL_DEBUG
  vit_debug_fill(arena, DEBUG_ARENA_BYTES);
#endif
  state->begun = STREAM_BEGUN;
  state->rows = 0;
  state->strip = 0;
  state->first_row = 0;
  vit_patch_embed_begin(&kOp0, {tokens});
  return VIT_MODEL_OK;
}}

// Embeds the strips whose rows are complete, keeping the rows that the next strip shares.
static void embed_complete_strips(uint8_t* arena, VitOpHook hook, void* context) {{
  StreamState* state = stream_state(arena);
  int8_t* strip = {strip};
  while (state->strip < kOp0.grid_height && state->rows >= strip_end_row(state->strip)) {{
    begin_op(arena, 0, hook, context);
    vit_patch_embed_strip(&kOp0, state->strip, strip, {tokens}, {scratch});
    end_op(arena, 0, hook, context);
    state->strip += 1;
    const int32_t first = strip_first_row(state->strip);
    if (first < state->rows) {{
      memmove(strip, strip + (size_t)(first - state->first_row) * ROW_BYTES,
              (size_t)(state->rows - first) * ROW_BYTES);
    }}
    state->first_row = first;
  }}
}}

int vit_model_push_rows(uint8_t* arena, const int8_t* rows, int row_count, VitOpHook hook,
                        void* context) {{
  StreamState* state = stream_state(arena);
  int8_t* strip = {strip};
  if (state->begun != STREAM_BEGUN) return VIT_MODEL_ERROR_NOT_BEGUN;
  if (row_count < 0 || row_count > VIT_MODEL_IMAGE_HEIGHT - state->rows) {{
    return VIT_MODEL_ERROR_TOO_MANY_ROWS;
  }}
  for (; row_count > 0; --row_count, rows += ROW_BYTES) {{
    const int32_t row = state->rows;
    if (state->strip < kOp0.grid_height && row >= state->first_row) {{
      memcpy(strip + (size_t)(row - state->first_row) * ROW_BYTES, rows, ROW_BYTES);
    }}
    state->rows = row + 1;
    embed_complete_strips(arena, hook, context);
  }}
  return VIT_MODEL_OK;
}}
"""

FINISH = """\

int vit_model_finish(uint8_t* arena, VitOpHook hook, void* context) {
  StreamState* state = stream_state(arena);
  if (state->begun != STREAM_BEGUN) return VIT_MODEL_ERROR_NOT_BEGUN;
  if (state->rows != VIT_MODEL_IMAGE_HEIGHT) return VIT_MODEL_ERROR_TOO_FEW_ROWS;
  state->begun = 0;
  run_rest(arena, hook, context);
  return VIT_MODEL_OK;
}"""


def check_streamed(planned: PlannedGraph, first: Params | None) -> None:
    """Refuses a streamed plan whose model does not begin with a patch embedding of the image."""
    graph, strip = planned.graph, planned.plan.strip
    assert strip is not None
    if len(graph.inputs) != 1:
        raise CompileError(f"streamed input: got {len(graph.inputs)} inputs, expected one image")
    streaming = None if first is None else operator_of(first).streaming
    if streaming is None or graph.operators[0].inputs[0] != planned.image:
        raise CompileError(
            "streamed input needs a model whose first operator is VitPatchEmbed on the image; "
            "plan it as resident"
        )
    readers = [i for i, op in enumerate(graph.operators) if planned.image in op.inputs]
    if readers != [0]:
        raise CompileError(
            f"streamed input: operators {readers} read the image, expected only the first; plan "
            "it as resident"
        )
    if strip.size_bytes < streaming.strip_bytes:
        raise CompileError(
            f"plan: the image strip has {strip.size_bytes} bytes, the patch embedding needs "
            f"{streaming.strip_bytes}; plan it again"
        )


def streaming_text(planned: PlannedGraph) -> str:
    """The streaming functions except finish (which runs the other operators)."""
    plan = planned.plan
    assert plan.strip is not None  # check_streamed()
    scratch = plan.scratch[0]
    return _FUNCTIONS.format(
        state=plan.arena_bytes,
        strip=address(plan.strip.offset, "int8_t*"),
        tokens=address(planned.span(planned.graph.operators[0].outputs[0]).offset),
        scratch="NULL" if scratch is None else address(scratch.offset),
    )
