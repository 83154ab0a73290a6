#include "runtime/manifest.h"

#include <algorithm>
#include <cstring>

#include "deepseam/version.h"
#include "manifest_generated.h"

namespace deepseam::runtime {
namespace {

constexpr uint8_t kMagic[8] = {0x89, 'D', 'S', 'P', '\r', '\n', 0x1a, '\n'};
constexpr size_t kHeaderBytes = 24;  // magic, XXH3-64 of the rest, its size; numbers little-endian
constexpr uint32_t kSchemaVersion = 1;
constexpr size_t kMostName = 32, kMostText = 64, kMostFileName = 255, kMostArchs = 64;
constexpr const char *kDomain = "manifest";

bool is_printable(const std::string &text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool is_dotted_number(const std::string &text) {
  if (text.empty() || text.front() == '.' || text.back() == '.') return false;
  return text.find("..") == std::string::npos && text.find_first_not_of("0123456789.") == std::string::npos;
}

// What of an unchecked text may stand in a message.
std::string shown(const std::string &text) {
  std::string result = text.substr(0, kMostText);
  for (char &c : result)
    if (c < 0x20 || c >= 0x7f) c = '?';
  return result;
}

Status wrong(const char *field, const char *expected, const std::string &found) {
  return fail(DS_E_FORMAT, kDomain, "%s: expected %s, found \"%s\"", field, expected, shown(found).c_str());
}

Status check_text(const char *field, const std::string &text) {
  if (text.empty() || text.size() > kMostText || !is_printable(text))
    return wrong(field, "1 to 64 printable ASCII characters", text);
  return {};
}

Status check_fields(const Manifest &manifest) {
  if (!is_backend_name(manifest.name)) return wrong("name", "1 to 32 of a-z, 0-9, _ and -", manifest.name);
  DS_TRY(check_text("plugin_version", manifest.plugin_version));
  DS_TRY(check_text("os", manifest.os));
  DS_TRY(check_text("arch", manifest.arch));
  if (manifest.abi_min > manifest.abi_max)
    return fail(DS_E_FORMAT, kDomain, "abi_min: expected at most abi_max (%u), found %u", manifest.abi_max,
                manifest.abi_min);
  if (manifest.gpu_archs.size() > kMostArchs)
    return fail(DS_E_FORMAT, kDomain, "gpu_archs: expected at most %zu, found %zu", kMostArchs,
                manifest.gpu_archs.size());
  for (const std::string &arch : manifest.gpu_archs) DS_TRY(check_text("gpu_archs", arch));
  if (manifest.driver.empty() != manifest.min_driver.empty())
    return fail(DS_E_FORMAT, kDomain, "driver and min_driver: expected both or neither");
  if (!manifest.driver.empty()) {
    DS_TRY(check_text("driver", manifest.driver));
    if (manifest.min_driver.size() > kMostText || !is_dotted_number(manifest.min_driver))
      return wrong("min_driver", "numbers with dots between them", manifest.min_driver);
  }
  if (!is_bare_file_name(manifest.file)) return wrong("file", "a bare file name", manifest.file);
  if (manifest.file_bytes == 0) return fail(DS_E_FORMAT, kDomain, "file_bytes: expected more than 0");
  return {};
}

std::string text_of(const flatbuffers::String *text) { return text ? text->str() : std::string(); }

Manifest read_table(const fb::PluginManifest &table) {
  Manifest manifest;
  manifest.name = text_of(table.name());
  manifest.plugin_version = text_of(table.plugin_version());
  manifest.abi_min = table.abi_min();
  manifest.abi_max = table.abi_max();
  manifest.os = text_of(table.os());
  manifest.arch = text_of(table.arch());
  manifest.min_glibc = table.min_glibc();
  if (table.gpu_archs())
    for (const flatbuffers::String *arch : *table.gpu_archs()) manifest.gpu_archs.push_back(text_of(arch));
  manifest.ptx = table.ptx();
  manifest.driver = text_of(table.driver());
  manifest.min_driver = text_of(table.min_driver());
  manifest.file = text_of(table.file());
  manifest.file_bytes = table.file_bytes();
  manifest.hash = {table.hash_low(), table.hash_high()};
  manifest.unloadable = table.unloadable();
  if (table.signature()) manifest.signature.assign(table.signature()->begin(), table.signature()->end());
  return manifest;
}

uint64_t read_u64(const uint8_t *from) {
  uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

Result<Manifest> parse(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMostManifestBytes)
    return fail(DS_E_FORMAT, kDomain, "size: expected at most %llu bytes, found %llu",
                static_cast<unsigned long long>(kMostManifestBytes), static_cast<unsigned long long>(bytes.size()));
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    return fail(DS_E_FORMAT, kDomain, "not a plugin manifest: expected the magic number of one at its start");
  const std::span<const uint8_t> body = bytes.subspan(kHeaderBytes);
  const uint64_t size = read_u64(bytes.data() + 16);
  if (size != body.size())
    return fail(DS_E_FORMAT, kDomain, "body size: expected %llu bytes as the header says, found %llu",
                static_cast<unsigned long long>(size), static_cast<unsigned long long>(body.size()));
  if (read_u64(bytes.data() + 8) != hash64(body))
    return fail(DS_E_CHECKSUM, kDomain, "body: its checksum is not the one in the header");
  // FlatBuffers reads in place and wants alignment; the caller's bytes may lie anywhere.
  std::vector<uint64_t> aligned((body.size() + 7) / 8);
  if (!body.empty()) std::memcpy(aligned.data(), body.data(), body.size());
  const uint8_t *data = reinterpret_cast<const uint8_t *>(aligned.data());
  flatbuffers::Verifier verifier(data, body.size(), 16, 1024);
  if (body.size() < 12 || !fb::PluginManifestBufferHasIdentifier(data) || !fb::VerifyPluginManifestBuffer(verifier))
    return fail(DS_E_FORMAT, kDomain, "body: not a sound table of a plugin manifest");
  const fb::PluginManifest &table = *fb::GetPluginManifest(data);
  if (table.version() != kSchemaVersion)
    return fail(DS_E_UNSUPPORTED, kDomain, "version: expected %u, found %u", kSchemaVersion, table.version());
  Manifest manifest = read_table(table);
  DS_TRY(check_fields(manifest));
  return manifest;
}

}  // namespace

bool is_bare_file_name(const std::string &name) {
  if (name.empty() || name.size() > kMostFileName || name == "." || name == "..") return false;
  return is_printable(name) && name.find_first_of("/\\:*?\"<>|") == std::string::npos;
}

bool is_backend_name(const std::string &name) {
  return !name.empty() && name.size() <= kMostName && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

Result<Manifest> parse_manifest(const std::string &path, std::span<const uint8_t> bytes) {
  Result<Manifest> manifest = parse(bytes);
  if (!manifest.ok()) return std::move(manifest).status().at(path);
  return manifest;
}

Result<std::vector<uint8_t>> write_manifest(const Manifest &manifest) {
  if (Status status = check_fields(manifest); !status.ok())
    return fail(DS_E_ARGUMENT, kDomain, "cannot be written: %s", status.message());
  flatbuffers::FlatBufferBuilder builder(1024);
  std::vector<flatbuffers::Offset<flatbuffers::String>> archs;
  for (const std::string &arch : manifest.gpu_archs) archs.push_back(builder.CreateString(arch));
  const auto table = fb::CreatePluginManifest(
      builder, kSchemaVersion, builder.CreateString(manifest.name), builder.CreateString(manifest.plugin_version),
      manifest.abi_min, manifest.abi_max, builder.CreateString(manifest.os), builder.CreateString(manifest.arch),
      manifest.min_glibc, builder.CreateVector(archs), manifest.ptx, builder.CreateString(manifest.driver),
      builder.CreateString(manifest.min_driver), builder.CreateString(manifest.file), manifest.file_bytes,
      manifest.hash.low, manifest.hash.high, manifest.unloadable, builder.CreateVector(manifest.signature));
  fb::FinishPluginManifestBuffer(builder, table);

  const std::span<const uint8_t> body(builder.GetBufferPointer(), builder.GetSize());
  if (body.size() + kHeaderBytes > kMostManifestBytes)
    return fail(DS_E_ARGUMENT, kDomain, "cannot be written: %zu bytes are more than a manifest may have", body.size());
  const uint64_t numbers[2] = {hash64(body), body.size()};
  std::vector<uint8_t> bytes(kHeaderBytes + body.size());
  std::memcpy(bytes.data(), kMagic, sizeof kMagic);
  std::memcpy(bytes.data() + sizeof kMagic, numbers, sizeof numbers);
  std::memcpy(bytes.data() + kHeaderBytes, body.data(), body.size());
  return bytes;
}

const char *plugin_reason_name(PluginReason reason) {
  static constexpr const char *kNames[] = {
      "none", "folder",  "permission", "file",   "manifest", "abi",  "platform", "libc",      "gpu_arch", "driver",
      "hash", "refused", "library",    "symbol", "contract", "name", "instance", "duplicate", "devices"};
  const size_t index = static_cast<size_t>(reason);
  return index < std::size(kNames) ? kNames[index] : "?";
}

}  // namespace deepseam::runtime
