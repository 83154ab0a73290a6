#include "base/status.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

#include "base/cut_text.h"

namespace deepseam {
namespace {

template <size_t N>
void copy_text(char (&to)[N], const char *from) noexcept {
  const size_t size = std::min(std::strlen(from), N - 1);
  std::memcpy(to, from, size);
  to[size] = 0;
  if (from[size]) drop_cut_character(to);
}

// Long paths lose their front: the file name is what a reader needs.
template <size_t N>
void copy_tail(char (&to)[N], const std::string &from) noexcept {
  size_t begin = from.size() < N ? 0 : from.size() - (N - 1);
  while (begin > 0 && begin < from.size() && (from[begin] & 0xc0) == 0x80) ++begin;
  copy_text(to, from.c_str() + begin);
}

}  // namespace

Status::Status(ds_status code, Failure failure) noexcept
    : code_(code), failure_(new (std::nothrow) Failure(std::move(failure))) {}

Status::Status(const Status &other) noexcept : code_(other.code_) { *this = other; }

Status &Status::operator=(const Status &other) noexcept {
  if (this == &other) return *this;
  code_ = other.code_;
  failure_.reset();
  if (other.failure_) try {
      failure_ = std::make_unique<Failure>(*other.failure_);
    } catch (...) {  // the code alone survives
    }
  return *this;
}

const char *Status::message() const noexcept { return failure_ ? failure_->message.c_str() : status_name(code_); }

Status &&Status::at(const std::string &path, uint64_t byte_offset) &&noexcept {
  if (failure_) try {
      failure_->path = path;
      failure_->byte_offset = byte_offset;
    } catch (...) {
    }
  return std::move(*this);
}

Status &&Status::os(int32_t os_code) &&noexcept {
  if (failure_) failure_->os_code = os_code;
  return std::move(*this);
}

Status &&Status::bytes(uint64_t needed, uint64_t available) &&noexcept {
  if (failure_) failure_->bytes_needed = needed, failure_->bytes_available = available;
  return std::move(*this);
}

ds_status Status::report(ds_error *error) const noexcept {
  if (ok() || !error || error->struct_size < sizeof(ds_error)) return code_;
  const uint32_t struct_size = error->struct_size;
  std::memset(error, 0, sizeof *error);
  error->struct_size = struct_size;
  error->code = code_;
  error->byte_offset = kNoOffset;
  copy_text(error->message, message());
  if (!failure_) return code_;
  error->os_code = failure_->os_code;
  error->byte_offset = failure_->byte_offset;
  error->bytes_needed = failure_->bytes_needed;
  error->bytes_available = failure_->bytes_available;
  copy_text(error->domain, failure_->domain);
  copy_tail(error->path, failure_->path);
  return code_;
}

Status fail(ds_status code, const char *domain, const char *format, ...) noexcept {
  char text[sizeof(ds_error::message)];
  va_list arguments;
  va_start(arguments, format);
  const int size = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size < 0) text[0] = 0;
  if (size >= static_cast<int>(sizeof text)) drop_cut_character(text);
  try {
    Failure failure;
    copy_text(failure.domain, domain);
    failure.message = text;
    return Status(code, std::move(failure));
  } catch (...) {
    return Status(code);
  }
}

const char *status_name(ds_status code) noexcept {
  switch (code) {
#define DS_NAME(name) \
  case name:          \
    return #name
    DS_NAME(DS_OK);
    DS_NAME(DS_E_ARGUMENT);
    DS_NAME(DS_E_HANDLE);
    DS_NAME(DS_E_STRUCT);
    DS_NAME(DS_E_UNKNOWN_FIELD);
    DS_NAME(DS_E_UNSUPPORTED);
    DS_NAME(DS_E_ABI);
    DS_NAME(DS_E_BUFFER);
    DS_NAME(DS_E_NOT_FOUND);
    DS_NAME(DS_E_IO);
    DS_NAME(DS_E_FORMAT);
    DS_NAME(DS_E_MODEL);
    DS_NAME(DS_E_CHECKSUM);
    DS_NAME(DS_E_PERMISSION);
    DS_NAME(DS_E_MEMORY);
    DS_NAME(DS_E_BUDGET);
    DS_NAME(DS_E_CONTEXT_FULL);
    DS_NAME(DS_E_CACHE_FULL);
    DS_NAME(DS_E_NO_DEVICE);
    DS_NAME(DS_E_DEVICE);
    DS_NAME(DS_E_DEVICE_LOST);
    DS_NAME(DS_E_DEVICE_LOST_SHARED);
    DS_NAME(DS_E_PLUGIN);
    DS_NAME(DS_E_BUSY);
    DS_NAME(DS_E_REENTRANT);
    DS_NAME(DS_E_CANCELLED);
    DS_NAME(DS_E_TIMEOUT);
    DS_NAME(DS_E_SHUT_DOWN);
    DS_NAME(DS_E_FORKED);
    DS_NAME(DS_E_PENDING);
    DS_NAME(DS_E_STOPPED);
    DS_NAME(DS_E_INTERNAL);
#undef DS_NAME
  }
  return "DS_E_?";
}

}  // namespace deepseam
