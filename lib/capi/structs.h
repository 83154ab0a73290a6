// The struct_size rule of the C API: how a host's struct becomes ours and how ours becomes the host's.
//
// In: smaller structs are zero-extended, larger ones are accepted if their unknown tail is zero. Out: what both sides
// know is written, the caller's excess is zeroed. kFirstSize is the size of a struct's first released version; it never
// changes, while the struct itself may grow. Nothing here looks at what fields mean, except that reserved ones are
// zero.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "deepseam/deepseam.h"

namespace deepseam::capi {

inline constexpr uint32_t kLargestStruct = 64 * 1024;

template <typename Type>
struct StructTraits;  // kFirstSize, kName

#define DS_STRUCT(type, first_size)                    \
  template <>                                          \
  struct StructTraits<type> {                          \
    static constexpr uint32_t kFirstSize = first_size; \
    static constexpr const char *kName = #type;        \
    static_assert(sizeof(type) >= kFirstSize);         \
  };
#include "capi/structs.def"
#undef DS_STRUCT

Status copy_struct_in(const void *from, const char *name, uint32_t first_size, uint32_t known_size,
                      void *into) noexcept;
Status check_struct_out(const void *to, const char *name, uint32_t first_size) noexcept;
void copy_struct_out(void *to, uint32_t known_size, const void *from) noexcept;

// A whole copy of the host's struct in our size. NULL is DS_E_ARGUMENT.
template <typename Type>
Status read_struct(const Type *from, Type *into) noexcept {
  using Traits = StructTraits<Type>;
  return copy_struct_in(from, Traits::kName, Traits::kFirstSize, sizeof(Type), into);
}

// As above, but NULL stands for a struct of zeros.
template <typename Type>
Status read_optional(const Type *from, Type *into) noexcept {
  if (from) return read_struct(from, into);
  *into = Type{};
  into->struct_size = sizeof(Type);
  return Status();
}

// An input or source head followed by its variant: `from` points to the head.
template <typename Type, typename Head>
Status read_tagged(const Head *from, Type *into) noexcept {
  using Traits = StructTraits<Type>;
  return copy_struct_in(from, Traits::kName, Traits::kFirstSize, sizeof(Type), into);
}

// Before anything is done: whether `to` can take an answer.
template <typename Type>
Status check_out(const Type *to) noexcept {
  return check_struct_out(to, StructTraits<Type>::kName, StructTraits<Type>::kFirstSize);
}

template <typename Type>
void write_struct(const Type &from, Type *to) noexcept {
  copy_struct_out(to, sizeof(Type), &from);
}

// The bytes of a text argument; DS_STRLEN is resolved. NULL with a size other than 0 is DS_E_ARGUMENT naming `what`.
Status read_text(const char *data, uint64_t size, const char *what, std::string_view *into) noexcept;
inline Status read_text(const ds_text &text, const char *what, std::string_view *into) noexcept {
  return read_text(text.data, text.size, what, into);
}

// An array argument: NULL with a count other than 0, or a byte size that overflows, is DS_E_ARGUMENT.
Status check_array(const void *data, uint64_t count, uint64_t element_size, const char *what) noexcept;

// Bits outside `known` and reserved fields are DS_E_UNKNOWN_FIELD.
Status check_flags(uint32_t flags, uint32_t known, const char *what) noexcept;
Status check_reserved(uint32_t reserved, const char *what) noexcept;
// A constant of a group 0 … most.
Status check_choice(uint32_t value, uint32_t most, const char *what) noexcept;

// Convention 5: filling a caller's buffer. `elements` are copied if they fit; *size always gets their number.
Status fill_text(std::string_view from, char *buffer, uint64_t capacity, uint64_t *size) noexcept;
Status fill_ids(const uint32_t *from, uint64_t n, uint32_t *ids, uint64_t capacity, uint64_t *size) noexcept;

// Fills the caller's record as convention 2 says; untouched on success.
ds_status report(const Status &status, ds_error *error) noexcept;

}  // namespace deepseam::capi
