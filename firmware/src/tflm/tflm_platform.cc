// SPDX-License-Identifier: Apache-2.0
// What TFLM and the C++ compiler expect of a platform: messages, and what must never be called.
//
// TFLM's own DebugLog needs the C library's vsnprintf, with 20 KB of code and a heap; this one
// knows the conversions that TFLM's messages use.

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include "app/console.h"

void DebugLog(const char* format, va_list arguments);
int DebugVsnprintf(char* buffer, size_t size, const char* format, va_list arguments);
#ifndef FIRMWARE_MBED
void __cxa_pure_virtual(void);
[[noreturn]] void abort(void);
[[noreturn]] void __assert_func(const char* file, int line, const char* function,
                                const char* expression);
#endif
}

namespace {

// Takes what the formatter produces.
class Sink {
 public:
  virtual void Put(char c) = 0;

 protected:
  ~Sink() = default;
};

class ConsoleSink final : public Sink {
 public:
  void Put(char c) override { console_write_byte(static_cast<uint8_t>(c)); }
};

class BufferSink final : public Sink {
 public:
  BufferSink(char* buffer, size_t size) : buffer_(buffer), size_(size) {}
  void Put(char c) override {
    if (length_ + 1 < size_) buffer_[length_] = c;
    ++length_;
  }
  int Finish() {
    if (size_ > 0) buffer_[length_ < size_ ? length_ : size_ - 1] = '\0';
    return static_cast<int>(length_);
  }

 private:
  char* buffer_;
  size_t size_;
  size_t length_ = 0;
};

void PutUnsigned(Sink* sink, uint32_t value, uint32_t base) {
  char digits[10];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  while (count > 0) sink->Put(digits[--count]);
}

void PutText(Sink* sink, const char* text) {
  while (text != nullptr && *text != '\0') sink->Put(*text++);
}

// Every integer that TFLM prints has 32 bits on this machine.
void Format(Sink* sink, const char* format, va_list arguments) {
  for (; *format != '\0'; ++format) {
    if (*format != '%') {
      sink->Put(*format);
      continue;
    }
    do {
      ++format;
    } while (*format == 'z' || *format == 'l' || *format == '.' ||
             (*format >= '0' && *format <= '9'));
    switch (*format) {
      case 'd': {
        const int32_t value = va_arg(arguments, int32_t);
        if (value < 0) sink->Put('-');
        PutUnsigned(sink, value < 0 ? 0u - static_cast<uint32_t>(value) : value, 10);
        break;
      }
      case 'u':
        PutUnsigned(sink, va_arg(arguments, uint32_t), 10);
        break;
      case 'x':
      case 'p':
        PutUnsigned(sink, va_arg(arguments, uint32_t), 16);
        break;
      case 's':
        PutText(sink, va_arg(arguments, const char*));
        break;
      case '%':
        sink->Put('%');
        break;
      case '\0':
        return;
      default:  // A number with a fraction: consumed, not printed.
        (void)va_arg(arguments, double);
        sink->Put('?');
        break;
    }
  }
}

}  // namespace

extern "C" {

void DebugLog(const char* format, va_list arguments) {
  ConsoleSink sink;
  Format(&sink, format, arguments);
}

int DebugVsnprintf(char* buffer, size_t size, const char* format, va_list arguments) {
  BufferSink sink(buffer, size);
  Format(&sink, format, arguments);
  return sink.Finish();
}

#ifndef FIRMWARE_MBED  // Mbed OS has these, and a heap.

[[noreturn]] static void Halt(const char* what) {
  console_text(what);
  console_text("\r\n");
  for (;;) {
  }
}

void __cxa_pure_virtual(void) { Halt("pure virtual function called"); }

void abort(void) { Halt("TFLM: abort"); }

// The C library's own would bring stdio and a heap.
void __assert_func(const char* file, int line, const char* function, const char* expression) {
  (void)line;
  (void)function;
  console_text(file);
  console_text(": assertion failed: ");
  Halt(expression);
}

#endif

}  // extern "C"

#ifndef FIRMWARE_MBED
// Virtual destructors refer to these; there is no heap, and nothing is ever deleted.
void operator delete(void* pointer) noexcept { (void)pointer; }
void operator delete(void* pointer, size_t size) noexcept {
  (void)pointer;
  (void)size;
}
#endif
