// The .dsm container: one file with everything a model needs, laid out to be mapped.
//
// Header (128 bytes, fixed) · tensor data, each 64-byte aligned · tokenizer · hints · directory (FlatBuffers,
// model.fbs). The header holds magic, version, compat and incompat bits, the directory's place and hash. Opening
// verifies header hash, directory hash and every range; contents are verified by verify_dsm or by a loader that wants
// to. Hints are a backend's own packed weights, keyed by (backend, layout, isa): readers drop what they do not know,
// and the canonical tensors are always there. Tensor names are opaque here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "format/hf_config.h"
#include "format/tensors.h"

namespace deepseam {

inline constexpr uint8_t kDsmMagic[8] = {0x89, 'D', 'S', 'M', '\r', '\n', 0x1a, '\n'};
inline constexpr uint32_t kDsmVersion = 1;
inline constexpr uint64_t kDsmAlignment = 64;

using Fingerprint = std::array<uint8_t, 32>;  // names a model's content; equal content, equal bytes

struct DsmSection {
  ByteRange range;
  Hash128 hash;
};

struct DsmHint {
  std::string backend, layout, isa;
  DsmSection section;
};

struct DsmFile {
  TensorDirectory tensors;           // one source
  std::vector<Hash128> data_hashes;  // per tensor, in the same order
  std::vector<Hash128> scale_hashes;
  HfConfig config;
  GenerationDefaults generation;
  DsmSection tokenizer;  // opaque bytes of lib/text; empty range if there is none
  std::string card;
  std::vector<DsmHint> hints;
  Fingerprint fingerprint{};

  const DsmHint *find_hint(const std::string &backend, const std::string &layout, const std::string &isa) const;
};

// DS_E_FORMAT: not a .dsm, or damaged (which field, found, expected). DS_E_CHECKSUM: header or directory hash differs.
// DS_E_UNSUPPORTED: a newer major version, or an incompat bit that this library does not know.
Result<DsmFile> open_dsm(std::shared_ptr<Source> source);

bool is_dsm(std::span<const uint8_t> first_bytes);

// Compares every content hash, in 1 MiB reads. DS_E_CHECKSUM names the first content that differs; with `all`, each
// such failure goes there and the search goes on. `progress` (may be empty) gets the bytes done; returning false stops
// with DS_E_STOPPED. `tensors` is file.tensors, wherever it went.
Status verify_dsm(const TensorDirectory &tensors, const DsmFile &file, const CancelWord *cancel,
                  const std::function<bool(uint64_t)> &progress, std::vector<Status> *all = nullptr);

// Writes a .dsm in one pass: begin_tensor, append its rows, end_tensor, … , add_tokenizer, hints, finish. The file
// appears under its name only when finish() succeeds. Memory use is the directory alone.
class DsmWriter {
 public:
  static Result<DsmWriter> create(const std::string &path);
  DsmWriter(DsmWriter &&) noexcept;
  ~DsmWriter();

  // name, dtype, shape; block_rows/block_cols > 0 (F8_E4M3 only): scales follow.
  Status begin_tensor(const std::string &name, DType dtype, std::span<const uint64_t> shape, uint32_t block_rows = 0,
                      uint32_t block_cols = 0);
  Status append(std::span<const uint8_t> bytes);
  Status append_scales(std::span<const float> scales);  // after all of the tensor's bytes
  Status end_tensor();                                  // DS_E_INTERNAL if more or less came than the shape says

  Status add_tokenizer(std::span<const uint8_t> blob);
  Status add_hint(const std::string &backend, const std::string &layout, const std::string &isa,
                  std::span<const uint8_t> bytes);
  // A hint in pieces, which need not be in memory together.
  Status begin_hint(const std::string &backend, const std::string &layout, const std::string &isa);
  Status append_hint(std::span<const uint8_t> bytes);
  Status end_hint();
  // Everything but hints is written: a whole .dsm of what is there, for making hints from it. Its bytes (a directory
  // more) stay in the file. The Source is not read from once the writer is finished or gone.
  Result<std::shared_ptr<Source>> written_so_far(const HfConfig &config, const GenerationDefaults &generation,
                                                 const std::string &card);
  Status finish(const HfConfig &config, const GenerationDefaults &generation, const std::string &card);

  uint64_t bytes_written() const;

 private:
  struct State;
  // Directory and header of what is there: the file is whole, under its temporary name.
  Status write_directory(const HfConfig &config, const GenerationDefaults &generation, const std::string &card);
  explicit DsmWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace deepseam
