/* What the bindings ask of a C library. */
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t count);
size_t strlen(const char *text);
