#include "capi/structs.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace deepseam::capi {
namespace {

uint32_t size_of(const void *host_struct) noexcept {
  uint32_t size;
  std::memcpy(&size, host_struct, sizeof size);
  return size;
}

Status check_size(uint32_t size, const char *name, uint32_t first_size) noexcept {
  if (size >= first_size && size <= kLargestStruct) return Status();
  return fail(DS_E_STRUCT, "capi", "%s.struct_size is %u, expected %u (its first version) to %u", name, size,
              first_size, kLargestStruct);
}

template <typename Element>
Status fill(const Element *from, uint64_t n, Element *into, uint64_t capacity, uint64_t *size,
            const char *what) noexcept {
  if (!size) return fail(DS_E_ARGUMENT, "capi", "size is NULL");
  if (!into && capacity) return fail(DS_E_ARGUMENT, "capi", "buffer is NULL, but capacity is not 0");
  *size = n;
  if (!capacity) return Status();
  if (capacity < n)
    return fail(DS_E_BUFFER, "capi", "the buffer holds %llu %s, expected %llu",
                static_cast<unsigned long long>(capacity), what, static_cast<unsigned long long>(n))
        .bytes(n * sizeof(Element), capacity * sizeof(Element));
  if (n) std::memcpy(into, from, n * sizeof(Element));
  return Status();
}

}  // namespace

Status copy_struct_in(const void *from, const char *name, uint32_t first_size, uint32_t known_size,
                      void *into) noexcept {
  if (!from) return fail(DS_E_ARGUMENT, "capi", "%s is NULL", name);
  const uint32_t size = size_of(from);
  DS_TRY(check_size(size, name, first_size));
  const auto *bytes = static_cast<const uint8_t *>(from);
  for (uint32_t i = known_size; i < size; ++i)
    if (bytes[i])
      return fail(DS_E_UNKNOWN_FIELD, "capi",
                  "%s has a nonzero byte at offset %u, beyond the %u bytes this library knows", name, i, known_size);
  std::memset(into, 0, known_size);
  std::memcpy(into, from, std::min(size, known_size));
  std::memcpy(into, &known_size, sizeof known_size);
  return Status();
}

Status check_struct_out(const void *to, const char *name, uint32_t first_size) noexcept {
  if (!to) return fail(DS_E_ARGUMENT, "capi", "%s is NULL", name);
  return check_size(size_of(to), name, first_size);
}

void copy_struct_out(void *to, uint32_t known_size, const void *from) noexcept {
  const uint32_t size = size_of(to);
  std::memcpy(to, from, std::min(size, known_size));
  if (size > known_size) std::memset(static_cast<uint8_t *>(to) + known_size, 0, size - known_size);
  std::memcpy(to, &size, sizeof size);
}

Status read_text(const char *data, uint64_t size, const char *what, std::string_view *into) noexcept {
  if (!data && size) return fail(DS_E_ARGUMENT, "capi", "%s.data is NULL, but its size is not 0", what);
  if (size == DS_STRLEN) size = std::strlen(data);
  if (size > (uint64_t{1} << 40))
    return fail(DS_E_ARGUMENT, "capi", "%s has %llu bytes, expected at most 2^40", what,
                static_cast<unsigned long long>(size));
  *into = std::string_view(data, size);
  return Status();
}

Status check_array(const void *data, uint64_t count, uint64_t element_size, const char *what) noexcept {
  if (!data && count) return fail(DS_E_ARGUMENT, "capi", "%s is NULL, but its count is not 0", what);
  const auto bytes = checked_mul(count, element_size);
  if (bytes && *bytes <= uint64_t{1} << 47) return Status();
  return fail(DS_E_ARGUMENT, "capi", "%s has %llu elements, which no memory can hold", what,
              static_cast<unsigned long long>(count));
}

Status check_flags(uint32_t flags, uint32_t known, const char *what) noexcept {
  if (!(flags & ~known)) return Status();
  return fail(DS_E_UNKNOWN_FIELD, "capi", "%s has the unknown bits 0x%x; known are 0x%x", what, flags & ~known, known);
}

Status check_reserved(uint32_t reserved, const char *what) noexcept {
  if (!reserved) return Status();
  return fail(DS_E_UNKNOWN_FIELD, "capi", "%s is %u, expected 0", what, reserved);
}

Status check_choice(uint32_t value, uint32_t most, const char *what) noexcept {
  if (value <= most) return Status();
  return fail(DS_E_ARGUMENT, "capi", "%s is %u, expected 0 to %u", what, value, most);
}

Status fill_text(std::string_view from, char *buffer, uint64_t capacity, uint64_t *size) noexcept {
  DS_TRY(fill(from.data(), from.size(), buffer, capacity, size, "bytes"));
  if (capacity > from.size()) buffer[from.size()] = 0;
  return Status();
}

Status fill_ids(const uint32_t *from, uint64_t n, uint32_t *ids, uint64_t capacity, uint64_t *size) noexcept {
  return fill(from, n, ids, capacity, size, "ids");
}

ds_status report(const Status &status, ds_error *error) noexcept {
  if (status.ok() || !error) return status.code();
  const uint32_t size = error->struct_size;
  if (size < StructTraits<ds_error>::kFirstSize || size > kLargestStruct) return status.code();
  ds_error record;
  record.struct_size = sizeof record;
  static_cast<void>(status.report(&record));
  write_struct(record, error);
  return status.code();
}

}  // namespace deepseam::capi
