// The part of manifest.h that knows machines: what this one is, and whether a manifest suits one.
#include <charconv>
#include <cstdarg>
#include <cstdio>

#if defined(__linux__)
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#endif
#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

#include "deepseam/version.h"
#include "runtime/manifest.h"

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "plugin";

// The numbers of "525.60.13".
std::vector<uint64_t> numbers_of(const std::string &version) {
  std::vector<uint64_t> numbers;
  const char *at = version.data(), *end = at + version.size();
  while (at < end) {
    uint64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc()) break;
    numbers.push_back(number);
    if (next == end || *next != '.') break;
    at = next + 1;
  }
  return numbers;
}

std::string joined(const std::vector<std::string> &texts) {
  std::string result;
  for (const std::string &text : texts) result += (result.empty() ? "" : ", ") + text;
  return result;
}

[[gnu::format(printf, 3, 4)]] Refusal refuse(PluginReason reason, ds_status code, const char *format, ...) {
  char text[480];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return {reason, fail(code, kDomain, "%s", text)};
}

Refusal check_driver(const Manifest &manifest, const Platform &platform) {
  for (const Platform::Driver &driver : platform.drivers) {
    if (driver.name != manifest.driver || driver.version.empty()) continue;
    if (numbers_of(driver.version) < numbers_of(manifest.min_driver))
      return refuse(PluginReason::kDriver, DS_E_UNSUPPORTED, "%s needs driver %s %s or later, this machine has %s",
                    manifest.name.c_str(), manifest.driver.c_str(), manifest.min_driver.c_str(),
                    driver.version.c_str());
  }
  return {};  // no driver at all: the plugin itself will find no device, which is no fault of the file
}

std::string family_of(const std::string &arch) { return arch.substr(0, arch.find_first_of("0123456789")); }

// Known architectures of another family ("gfx" beside "sm_") say nothing: a machine may have GPUs of both.
bool runs_on_gpus(const Manifest &manifest, const Platform &platform) {
  bool comparable = false;
  for (const std::string &arch : manifest.gpu_archs)
    for (const std::string &present : platform.gpu_archs) {
      if (arch == present) return true;
      comparable |= family_of(arch) == family_of(present);
    }
  return manifest.ptx || !comparable;
}

#if defined(__linux__)
// The beginning of a small file of the kernel's; empty if there is none.
std::string kernel_text(const std::string &path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[4096];
  const ssize_t size = ::read(fd, text, sizeof text);
  ::close(fd);
  return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
}

// What the kernel says of the AMD GPUs it drives: "gfx90a" from gfx_target_version 90010.
std::vector<std::string> amd_archs() {
  static constexpr char kKey[] = "gfx_target_version ";
  std::vector<std::string> archs;
  const std::string root = "/sys/class/kfd/kfd/topology/nodes/";
  DIR *folder = ::opendir(root.c_str());
  if (!folder) return archs;
  while (const dirent *entry = ::readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    const std::string text = kernel_text(root + entry->d_name + "/properties");
    const size_t at = text.find(kKey);
    if (at == std::string::npos) continue;
    const std::vector<uint64_t> number = numbers_of(text.substr(at + sizeof kKey - 1, 12));
    if (number.empty() || number[0] == 0 || number[0] > 1000000) continue;  // 0: a CPU
    char name[32];
    std::snprintf(name, sizeof name, "gfx%u%x%x", static_cast<unsigned>(number[0] / 10000),
                  static_cast<unsigned>(number[0] / 100 % 100), static_cast<unsigned>(number[0] % 100));
    archs.push_back(name);
  }
  ::closedir(folder);
  return archs;
}
#endif

}  // namespace

Platform this_platform() {
  Platform platform;
#if defined(_WIN32)
  platform.os = "windows";
#elif defined(__APPLE__)
  platform.os = "macos";
#elif defined(__linux__)
  platform.os = "linux";
  for (const char *driver : {"nvidia", "amdgpu"})
    if (std::string version = kernel_text(std::string("/sys/module/") + driver + "/version"); !version.empty())
      platform.drivers.push_back({driver, version.substr(0, version.find('\n'))});
  platform.gpu_archs = amd_archs();
#endif
#if defined(__x86_64__)
  platform.arch = "x86_64";
#elif defined(__aarch64__)
  platform.arch = "aarch64";
#endif
#if defined(__GLIBC__)
  const std::vector<uint64_t> libc = numbers_of(gnu_get_libc_version());
  if (libc.size() >= 2) platform.glibc = static_cast<uint32_t>(libc[0] << 16 | libc[1]);
#endif
  platform.abi_min = platform.abi_max = DSB_ABI_VERSION;  // of major 0 every version is a world of its own
  return platform;
}

Refusal check_manifest(const Manifest &manifest, const Platform &platform) {
  const char *name = manifest.name.c_str();
  if (manifest.os != platform.os || manifest.arch != platform.arch)
    return refuse(PluginReason::kPlatform, DS_E_UNSUPPORTED, "%s is built for %s on %s, this is %s on %s", name,
                  manifest.os.c_str(), manifest.arch.c_str(), platform.os.c_str(), platform.arch.c_str());
  if (manifest.abi_max < platform.abi_min || manifest.abi_min > platform.abi_max)
    return refuse(PluginReason::kAbi, DS_E_ABI,
                  "%s speaks backend ABI %u.%u to %u.%u, this library speaks %u.%u to %u.%u", name,
                  manifest.abi_min >> 16, manifest.abi_min & 0xffff, manifest.abi_max >> 16, manifest.abi_max & 0xffff,
                  platform.abi_min >> 16, platform.abi_min & 0xffff, platform.abi_max >> 16, platform.abi_max & 0xffff);
  if (manifest.min_glibc && platform.glibc && manifest.min_glibc > platform.glibc)
    return refuse(PluginReason::kLibc, DS_E_UNSUPPORTED, "%s needs glibc %u.%u or later, this machine has %u.%u", name,
                  manifest.min_glibc >> 16, manifest.min_glibc & 0xffff, platform.glibc >> 16, platform.glibc & 0xffff);
  if (!runs_on_gpus(manifest, platform))
    return refuse(PluginReason::kGpuArch, DS_E_UNSUPPORTED, "%s has code for %s, this machine's GPUs are %s", name,
                  joined(manifest.gpu_archs).c_str(), joined(platform.gpu_archs).c_str());
  return check_driver(manifest, platform);
}

}  // namespace deepseam::runtime
