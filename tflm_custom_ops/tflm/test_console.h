// SPDX-License-Identifier: Apache-2.0
// The console of the C++ tests: what the code under test prints is kept for the test to look at.
#ifndef TFLM_CUSTOM_OPS_TFLM_TEST_CONSOLE_H_
#define TFLM_CUSTOM_OPS_TFLM_TEST_CONSOLE_H_

#include <stdarg.h>

#include <string>

namespace tflm_vit {

// Everything printed since the last call.
std::string TakeConsoleText();

void AppendConsoleText(const char* format, va_list arguments);

}  // namespace tflm_vit

#endif  // TFLM_CUSTOM_OPS_TFLM_TEST_CONSOLE_H_
