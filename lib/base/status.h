// Status and Result: how every fallible function of the library answers.
//
// A Status is one pointer wide. Success holds nothing and costs nothing; failure holds a code and, where memory allows,
// a Failure with the sentence for the user. Without memory the code stays and the sentence is the code's own name.
// Nothing here throws or prints. The message names file, field, expected and found: the place that knows them writes
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "deepseam/status.h"

namespace deepseam {

inline constexpr uint64_t kNoOffset = UINT64_MAX;

// What a failed Status tells beside its code. Filled once, by the place that noticed.
struct Failure {
  int32_t os_code = 0;
  uint64_t byte_offset = kNoOffset;
  uint64_t bytes_needed = 0;
  uint64_t bytes_available = 0;
  char domain[16] = {};
  std::string path;
  std::string message;
};

class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  // A code without a sentence: the out-of-memory path, or a state that needs no more words (CANCELLED).
  explicit Status(ds_status code) noexcept : code_(code) {}
  Status(ds_status code, Failure failure) noexcept;
  Status(const Status &other) noexcept;
  Status &operator=(const Status &other) noexcept;
  Status(Status &&) noexcept = default;
  Status &operator=(Status &&) noexcept = default;

  bool ok() const noexcept { return code_ == DS_OK; }
  ds_status code() const noexcept { return code_; }
  const Failure *failure() const noexcept { return failure_.get(); }
  const char *message() const noexcept;  // never NULL

  // Adds to a failure; does nothing on success or without memory.
  Status &&at(const std::string &path, uint64_t byte_offset = kNoOffset) &&noexcept;
  Status &&os(int32_t os_code) &&noexcept;
  Status &&bytes(uint64_t needed, uint64_t available) &&noexcept;

  // Copies code and sentence to the caller's record (may be NULL); on success the record is left alone.
  ds_status report(ds_error *error) const noexcept;

 private:
  ds_status code_ = DS_OK;
  std::unique_ptr<Failure> failure_;
};

// A failure with a sentence, printf style. `domain` is the part of the library that speaks: "safetensors", "kv", ….
[[gnu::format(printf, 3, 4)]] Status fail(ds_status code, const char *domain, const char *format, ...) noexcept;

const char *status_name(ds_status code) noexcept;  // "DS_E_FORMAT"; "DS_E_?" for an unknown number

// A value or a failed Status.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Status status) : content_(std::in_place_index<1>, std::move(status)) {}
  bool ok() const noexcept { return content_.index() == 0; }
  Status status() && { return ok() ? Status() : std::get<1>(std::move(content_)); }
  Status status() const & { return ok() ? Status() : std::get<1>(content_); }
  T &value() & { return *std::get_if<0>(&content_); }
  const T &value() const & { return *std::get_if<0>(&content_); }
  T &&value() && { return std::move(*std::get_if<0>(&content_)); }
  T *operator->() { return std::get_if<0>(&content_); }
  const T *operator->() const { return std::get_if<0>(&content_); }
  T &operator*() & { return value(); }

 private:
  std::variant<T, Status> content_;
};

}  // namespace deepseam

// Returns from the enclosing function if `expression`, a Status, failed.
#define DS_TRY(expression)                                                                          \
  do {                                                                                              \
    if (::deepseam::Status ds_try_status = (expression); !ds_try_status.ok()) return ds_try_status; \
  } while (0)

#define DS_CONCAT_INNER(a, b) a##b
#define DS_CONCAT(a, b) DS_CONCAT_INNER(a, b)
// DS_TRY_VALUE(auto x, f()): x is the value of the Result, or the enclosing function returns the failure.
#define DS_TRY_VALUE(declaration, expression)                                                            \
  auto DS_CONCAT(ds_result_, __LINE__) = (expression);                                                   \
  if (!DS_CONCAT(ds_result_, __LINE__).ok()) return std::move(DS_CONCAT(ds_result_, __LINE__)).status(); \
  declaration = std::move(DS_CONCAT(ds_result_, __LINE__)).value()
