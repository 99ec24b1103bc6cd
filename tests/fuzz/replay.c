// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target on files, once each, where there is no libFuzzer.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** names) {
  for (int i = 1; i < count; ++i) {
    FILE* file = fopen(names[i], "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) return 2;
    const long size = ftell(file);
    rewind(file);
    uint8_t* data = malloc(size ? (size_t)size : 1);  // exactly: a sanitizer sees each overrun
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) return 2;
    fclose(file);
    fprintf(stderr, "%s\n", names[i]);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
  }
  return 0;
}
