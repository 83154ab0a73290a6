/* The embedded model as read-only data: the assembler puts the file DS_EMBEDDED_FILE where it stands, so that no
 * compiler ever reads 24 MiB of numbers as text. Owns the bytes and their one accessor; what is in them is
 * lib/format's. */
#include "deepseam/embedded.h"

#if defined(_WIN32)
#define SECTION ".section .rdata,\"dr\"\n"
#else
#define SECTION ".section .rodata.ds_embedded,\"a\"\n"
#endif

/* A page: weights are used where they lie, and what is never read stays on the disk. */
__asm__(SECTION
        ".balign 4096\n"
        ".global ds_embedded_first_byte\n"
        "ds_embedded_first_byte:\n"
        ".incbin \"" DS_EMBEDDED_FILE
        "\"\n"
        ".global ds_embedded_end\n"
        "ds_embedded_end:\n"
        ".byte 0\n"
        ".text\n");

#if defined(_WIN32)
extern const unsigned char ds_embedded_first_byte[], ds_embedded_end[];
#else
extern const unsigned char ds_embedded_first_byte[] __attribute__((visibility("hidden")));
extern const unsigned char ds_embedded_end[] __attribute__((visibility("hidden")));
#endif

const void *ds_embedded_model(uint64_t *size) {
  if (size) *size = (uint64_t)(ds_embedded_end - ds_embedded_first_byte);
  return ds_embedded_first_byte;
}
