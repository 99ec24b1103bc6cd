// SPDX-License-Identifier: Apache-2.0
#include "tflm_custom_ops/tflm/test_console.h"

#include <stdarg.h>
#include <stdio.h>

#include "tensorflow/lite/micro/micro_log.h"

namespace tflm_vit {
namespace {

std::string* Text() {
  static std::string text;
  return &text;
}

}  // namespace

void AppendConsoleText(const char* format, va_list arguments) {
  char line[512];
  vsnprintf(line, sizeof(line), format, arguments);
  *Text() += line;
  *Text() += '\n';
}

std::string TakeConsoleText() {
  std::string text;
  text.swap(*Text());
  return text;
}

}  // namespace tflm_vit

void MicroPrintf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tflm_vit::AppendConsoleText(format, arguments);
  va_end(arguments);
}
