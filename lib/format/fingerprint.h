// The 256-bit name of a model's content, as model_fingerprint() (open_model.h) gives it. Private to format/.
#pragma once

#include <span>
#include <string>

#include "base/hash.h"
#include "format/dsm.h"

namespace deepseam {

// Collects parts, each with its length, into two independent XXH3-128 values.
class FingerprintHasher {
 public:
  explicit FingerprintHasher(const char *domain);
  void add(std::span<const uint8_t> bytes);
  void add(const std::string &text);
  void add(uint64_t number);
  void add(const Hash128 &hash);
  Fingerprint value() const;

 private:
  Hasher first_, second_;
};

// From the directory's own hashes; independent of where in the file things lie, and of hints, card and defaults.
Fingerprint dsm_fingerprint(const DsmFile &file);

}  // namespace deepseam
