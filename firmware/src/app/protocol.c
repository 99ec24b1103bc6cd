// SPDX-License-Identifier: Apache-2.0
#include "app/protocol.h"

#include <stdbool.h>
#include <string.h>

#include "app/classifier.h"
#include "app/console.h"
#include "app/detections.h"
#include "app/frame.h"
#include "app/meter.h"
#include "app/model_info.h"
#include "board_config.h"
#include "cortexm/system.h"

#define ROW_NUMBER_BYTES 2u
#define LARGEST_REQUEST_BYTES \
  (FRAME_HEADER_BYTES + ROW_NUMBER_BYTES + CLASSIFIER_ROW_BYTES + FRAME_CRC_BYTES)

// Of a picture: where its greatest value is. As long as the other words: all images are as large.
#if defined(VIT_MODEL_IS_PICTURE) || defined(VIT_MODEL_IS_DETECTOR)
#define BEST_NAME ": place "
#define BEST_VALUE ", value "
#else
#define BEST_NAME ": class "
#define BEST_VALUE ", logit "
#endif

typedef struct {
  uint8_t sequence;
  const uint8_t* payload;
  uint32_t payload_bytes;
} Request;

// Aligned so that a row's pixels, after four bytes of header, are word aligned.
__attribute__((aligned(4))) static uint8_t buffer[LARGEST_REQUEST_BYTES];
static FrameReceiver receiver = {.bytes = buffer, .capacity = sizeof(buffer)};

static bool images_refused;
static bool image_begun;
static uint32_t image_number;
static const void* image_logits;  // NULL until the image is finished.

static uint32_t read_u16(const uint8_t* bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t read_u32(const uint8_t* bytes) {
  return read_u16(bytes) | read_u16(bytes + 2) << 16;
}

static void send_error(const Request* request, uint8_t code) {
  frame_send_begin(PROTOCOL_ERROR, request->sequence);
  frame_send_bytes(&code, 1u);
  frame_send_u16((uint32_t)classifier_rows_received());
  frame_send_end();
}

static void handle_info(const Request* request) {
  frame_send_begin(PROTOCOL_INFO | PROTOCOL_REPLY, request->sequence);
  frame_send_bytes(&model_info, sizeof(model_info));
  frame_send_u32(BOARD_CLOCK_SYSTEM_HZ);
  frame_send_u32(stack_size_bytes());
  frame_send_bytes(BOARD_NAME, sizeof(BOARD_NAME) - 1u);
  frame_send_end();
}

static void handle_begin(const Request* request) {
  if (request->payload_bytes != 4u) {
    send_error(request, PROTOCOL_ERROR_BAD_LENGTH);
    return;
  }
  image_number = read_u32(request->payload);
  if (images_refused) {
    send_error(request, PROTOCOL_ERROR_EXTERNAL_FLASH);
    return;
  }
  image_logits = NULL;
  image_begun = classifier_begin();
  if (!image_begun) {
    send_error(request, PROTOCOL_ERROR_MODEL);
    return;
  }
  frame_send_begin(PROTOCOL_BEGIN | PROTOCOL_REPLY, request->sequence);
  frame_send_u32(image_number);
  frame_send_end();
}

static void handle_row(const Request* request) {
  if (request->payload_bytes != ROW_NUMBER_BYTES + CLASSIFIER_ROW_BYTES) {
    send_error(request, PROTOCOL_ERROR_BAD_LENGTH);
    return;
  }
  if (!image_begun) {
    send_error(request, PROTOCOL_ERROR_NOT_BEGUN);
    return;
  }
  const int row = (int)read_u16(request->payload);
  const int expected = classifier_rows_received();
  if (row > expected || row >= VIT_MODEL_ROW_COUNT) {
    send_error(request, PROTOCOL_ERROR_ROW_ORDER);
    return;
  }
  // A row that is already here was sent again because the reply was lost.
  if (row == expected &&
      !classifier_push((const int8_t*)(request->payload + ROW_NUMBER_BYTES), 1)) {
    image_begun = false;
    send_error(request, PROTOCOL_ERROR_MODEL);
    return;
  }
  frame_send_begin(PROTOCOL_ROW | PROTOCOL_REPLY, request->sequence);
  frame_send_u16((uint32_t)classifier_rows_received());
  frame_send_end();
}

#if defined(VIT_MODEL_HAS_PIECES)
static void handle_text(const Request* request) {
  if (request->payload_bytes < ROW_NUMBER_BYTES) {
    send_error(request, PROTOCOL_ERROR_BAD_LENGTH);
    return;
  }
  if (!image_begun) {
    send_error(request, PROTOCOL_ERROR_NOT_BEGUN);
    return;
  }
  const uint32_t at = read_u16(request->payload);
  const uint32_t bytes = request->payload_bytes - ROW_NUMBER_BYTES;
  // An end that is already here was sent again because the reply was lost.
  const bool again = classifier_rows_received() == VIT_MODEL_ROW_COUNT;
  if (classifier_rows_received() > 0 && !(again && bytes == 0u)) {
    send_error(request, PROTOCOL_ERROR_ROW_ORDER);
    return;
  }
  if (!classifier_text(at, request->payload + ROW_NUMBER_BYTES, bytes)) {
    send_error(request, PROTOCOL_ERROR_BAD_LENGTH);
    return;
  }
  if (bytes == 0u && !again) classifier_text_end(at);
  frame_send_begin(PROTOCOL_TEXT | PROTOCOL_REPLY, request->sequence);
  frame_send_u16((uint32_t)classifier_rows_received());
  frame_send_end();
}
#endif

#if defined(VIT_MODEL_IS_DETECTOR)
static const DetectionGrid box_grid = {
    .rows = VIT_MODEL_BOX_ROWS,
    .columns = VIT_MODEL_BOX_COLUMNS,
    .classes = VIT_MODEL_BOX_CLASSES,
    .multiplier = VIT_MODEL_BOX_MULTIPLIER,
    .shift = VIT_MODEL_BOX_SHIFT,
    .zero_point = VIT_MODEL_OUTPUT_ZERO_POINT,
    .least = VIT_MODEL_BOX_LEAST,
};

// To the nearest pixel of the image's side.
static int32_t to_pixels(int32_t units, int32_t tokens, int32_t pixels) {
  const int32_t side = tokens * DETECTIONS_UNITS;
  return (2 * units * pixels + side) / (2 * side);
}

static void print_box(const Detection* box) {
  console_text("  class ");
  console_unsigned((uint32_t)box->label);
  console_text(", logit ");
  console_signed(box->score);
  console_text(", box");
  for (int i = 0; i < 4; ++i) {
    console_text(" ");
    console_signed(i % 2 == 0
                       ? to_pixels(box->edges[i], VIT_MODEL_BOX_COLUMNS, VIT_MODEL_IMAGE_WIDTH)
                       : to_pixels(box->edges[i], VIT_MODEL_BOX_ROWS, VIT_MODEL_IMAGE_HEIGHT));
  }
  console_text("\r\n");
}

// Noinline: its boxes are not on the stack while a model runs.
__attribute__((noinline)) static void print_boxes(void) {
  Detection found[DETECTIONS_MOST];
  const int count = detections_find(&box_grid, image_logits, found);
  console_text("  boxes ");
  console_unsigned((uint32_t)count);
  console_text("\r\n");
  for (int i = 0; i < count; ++i) print_box(&found[i]);
}
#endif

static void print_result(int best) {
  console_text("image ");
  console_unsigned(image_number);
  console_text(BEST_NAME);
  console_unsigned((uint32_t)best);
#if defined(VIT_MODEL_HAS_CLASS_NAMES)
  console_text(" (");
  console_text(vit_model_class_names[best]);
  console_text(")");
#endif
#if VIT_MODEL_IS_IMAGE
  console_text(BEST_VALUE);
  console_signed(((const int8_t*)image_logits)[best]);
#endif
  console_text(", ");
  if (meter_total_cycles() == 0u) {
    console_text("no cycle counter");
  } else {
    console_unsigned(meter_total_cycles());
    console_text(" cycles");
  }
  console_text(", stack ");
  console_unsigned(stack_high_water_bytes());
  console_text(" bytes\r\n");
#if defined(VIT_MODEL_IS_DETECTOR)
  print_boxes();
#endif
}

static void handle_finish(const Request* request) {
  if (request->payload_bytes != 4u) {
    send_error(request, PROTOCOL_ERROR_BAD_LENGTH);
    return;
  }
  if (!image_begun || read_u32(request->payload) != image_number) {
    send_error(request, PROTOCOL_ERROR_NOT_BEGUN);
    return;
  }
  if (classifier_rows_received() != VIT_MODEL_ROW_COUNT) {
    send_error(request, PROTOCOL_ERROR_INCOMPLETE);
    return;
  }
  // The model has consumed its input: a repeated request gets the same result again.
  const bool first_time = image_logits == NULL;
  if (first_time) image_logits = classifier_finish();
  if (image_logits == NULL) {
    image_begun = false;
    send_error(request, PROTOCOL_ERROR_MODEL);
    return;
  }
  const int best = classifier_best(image_logits);
  if (first_time) print_result(best);
  frame_send_begin(PROTOCOL_FINISH | PROTOCOL_REPLY, request->sequence);
  frame_send_u32(image_number);
  frame_send_u16((uint32_t)best);
  frame_send_u64(meter_total_cycles());
  frame_send_u32(stack_high_water_bytes());
#if VIT_MODEL_IS_IMAGE
  frame_send_bytes(image_logits, VIT_MODEL_OUTPUT_BYTES);
#else
  for (int i = 0; i < VIT_MODEL_OUTPUT_COUNT; ++i) {
    frame_send_bytes(classifier_output(i), vit_model_outputs[i].bytes);
  }
#endif
  frame_send_end();
}

static void handle_operator(const Request* request) {
  if (request->payload_bytes != 2u) {
    send_error(request, PROTOCOL_ERROR_BAD_LENGTH);
    return;
  }
  const uint32_t index = read_u16(request->payload);
  if (index >= VIT_MODEL_OP_COUNT) {
    send_error(request, PROTOCOL_ERROR_BAD_INDEX);
    return;
  }
  frame_send_begin(PROTOCOL_OPERATOR | PROTOCOL_REPLY, request->sequence);
  frame_send_u16(index);
  frame_send_u64(meter_operator_cycles((int)index));
  frame_send_bytes(vit_model_op_names[index], (uint32_t)strlen(vit_model_op_names[index]));
  frame_send_end();
}

void protocol_refuse_images(void) { images_refused = true; }

void protocol_receive(uint8_t byte) {
  Request request = {.sequence = 0, .payload = buffer + FRAME_HEADER_BYTES, .payload_bytes = 0};
  if (!frame_receive(&receiver, byte, &request.payload_bytes)) return;
  request.sequence = buffer[1];
  switch (buffer[0]) {
    case PROTOCOL_INFO:
      handle_info(&request);
      break;
    case PROTOCOL_BEGIN:
      handle_begin(&request);
      break;
    case PROTOCOL_ROW:
      handle_row(&request);
      break;
    case PROTOCOL_FINISH:
      handle_finish(&request);
      break;
    case PROTOCOL_OPERATOR:
      handle_operator(&request);
      break;
#if defined(VIT_MODEL_HAS_PIECES)
    case PROTOCOL_TEXT:
      handle_text(&request);
      break;
#endif
    default:
      send_error(&request, PROTOCOL_ERROR_UNKNOWN_TYPE);
      break;
  }
}
