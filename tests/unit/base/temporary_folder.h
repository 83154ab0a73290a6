// A folder of its own for one test case, removed with everything in it.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

// A new folder below `parent`, which nothing else uses.
inline std::string make_temporary_folder(const std::string &parent) {
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string path = parent + "/deepseam_test_" + std::to_string(random()) + std::to_string(random());
    if (std::filesystem::create_directory(path)) return path;
  }
  FAIL("no temporary folder can be made");
  return {};
}

class TemporaryFolder {
 public:
  TemporaryFolder() { path_ = make_temporary_folder(std::filesystem::temp_directory_path().string()); }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string operator/(const std::string &name) const { return path_ + "/" + name; }
  const std::string &path() const { return path_; }
  std::string write(const std::string &name, const std::string &content) const {
    std::ofstream(*this / name, std::ios::binary) << content;
    return *this / name;
  }
  static std::string read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t entries() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {})); }

 private:
  std::string path_;
};
