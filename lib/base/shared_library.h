// Loading a shared library by absolute path, with local symbols, all resolved at once.
#pragma once

#include <string>

#include "base/status.h"

namespace deepseam {

class SharedLibrary {
 public:
  SharedLibrary() = default;
  ~SharedLibrary();
  SharedLibrary(SharedLibrary &&other) noexcept;
  SharedLibrary &operator=(SharedLibrary &&other) noexcept;

  // From an absolute path. On Linux `fd` (>= 0) names the already verified open file: that very file is loaded.
  static Result<SharedLibrary> open(const std::string &path, int fd = -1);
  void *symbol(const char *name) const noexcept;  // NULL if there is none
  void leave_loaded() noexcept { handle_ = nullptr; }
  bool is_open() const noexcept { return handle_ != nullptr; }

 private:
  void *handle_ = nullptr;
};

// The folder that holds the binary this code is in ("" if the system does not tell).
std::string own_folder();

}  // namespace deepseam
