// Weights that lie ready in the layout of backend onednn: as hints of a .dsm and in a host's folder. They are used
// under an equal key alone, change no bit of an answer, and whatever is wrong with them fails no open.
#include <atomic>
#include <filesystem>
#include <thread>

#include "format/dsm.h"
#include "onednn/backend.h"
#include "sdk/cpu_backend.h"
#include "unit/base/temporary_folder.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

const dsb_root *onednn_root() { return sdk::root<onednn::kBackend>(); }

OpenOptions options_of(const std::string &path, const std::string &folder = "", MapMode map = MapMode::kAlways) {
  OpenOptions options;
  options.source.path = path;
  options.deterministic = true;
  options.context_length = 256;
  options.pack_folder = folder;
  options.map = map;
  return options;
}

std::string outcome(const std::shared_ptr<Model> &model) {
  const Facts facts = model->facts();
  const Facts::Value *value = facts.find("weights.pack_cache");
  return value ? std::get<std::string>(*value) : std::string();
}
uint64_t packed_bytes(const std::shared_ptr<Model> &model) { return fact(model->facts(), "weights.packed_bytes"); }

std::vector<float> logits(const std::shared_ptr<Model> &model) { return eval_all(model, some_ids(40), 16); }

std::vector<std::string> names(const std::string &folder) {
  std::vector<std::string> list;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) list.push_back(entry.path().string());
  return list;
}

// A model file with what onednn repacks stored in its layout.
std::string pack_for(const Rig &rig, const std::string &from, const std::string &to) {
  ToolOptions options;
  options.backend = "onednn";
  ModelSource source;
  source.path = from;
  DS_REQUIRE_OK(pack(*rig.runtime, source, to, options));
  return to;
}

// Closes the file again: on Windows one that is open cannot be replaced.
std::vector<DsmHint> hints_of(const std::string &path) {
  return must(open_dsm(must(open_file(path, MapMode::kNever)))).hints;
}

// A file of hints alone, with the keys of `like` and eight bytes each.
void write_short_hints(const std::string &like, const std::string &to) {
  const std::vector<DsmHint> hints = hints_of(like);
  DsmWriter writer = must(DsmWriter::create(to));
  const uint8_t bytes[8] = {};
  for (const DsmHint &hint : hints) DS_REQUIRE_OK(writer.add_hint(hint.backend, hint.layout, hint.isa, bytes));
  DS_REQUIRE_OK(writer.finish({}, {}, ""));
}

}  // namespace

TEST_CASE("packed for its backend a model answers bit for bit as before, and plan and info count what is used") {
  Rig rig({}, onednn_root());
  const TemporaryFolder folder;
  const std::string plain = synth_file(rig), packed = pack_for(rig, plain, folder / "x.dsm");
  const auto before = rig.open(options_of(plain)), after = rig.open(options_of(packed));
  const std::vector<float> expected = logits(before);
  CHECK(logits(after) == expected);
  CHECK(packed_bytes(before) == 0);
  CHECK(packed_bytes(after) > 0);
  CHECK(fact(before->facts(), "weights.anonymous_bytes") >= packed_bytes(after));
  CHECK(fact(after->facts(), "weights.anonymous_bytes") == 0);
  CHECK(std::get<std::string>(*after->facts().find("weights.packed_for")).starts_with("onednn "));
  CHECK(after->plan().weight_bytes + after->plan().mapped_bytes ==
        before->plan().weight_bytes + before->plan().mapped_bytes);
  CHECK(before->identity().model_fingerprint == after->identity().model_fingerprint);
  // Not mapped, the same bytes are read into memory.
  const auto read = rig.open(options_of(packed, "", MapMode::kNever));
  CHECK(packed_bytes(read) == packed_bytes(after));
  CHECK(read->plan().mapped_bytes == 0);
  CHECK(logits(read) == expected);
}

TEST_CASE("hints for another instruction set or of another backend are left alone") {
  RuntimeOptions least;
  least.isa_cap = "generic";
  const TemporaryFolder folder;
  std::string plain, packed;
  {
    Rig rig(least, onednn_root());
    plain = synth_file(rig);
    packed = pack_for(rig, plain, folder / "x.dsm");
    CHECK(packed_bytes(rig.open(options_of(packed))) > 0);
  }
  Rig rig({}, onednn_root());
  if (hints_of(pack_for(rig, plain, folder / "y.dsm"))[0].isa != "generic") {
    const auto model = rig.open(options_of(packed));
    CHECK(packed_bytes(model) == 0);
    CHECK(logits(model) == logits(rig.open(options_of(plain))));
  }
  Rig ref;
  CHECK(packed_bytes(ref.open(options_of(packed))) == 0);
}

TEST_CASE("a folder is written by the first open and used by the next") {
  Rig rig({}, onednn_root());
  const TemporaryFolder folder;
  const std::string path = synth_file(rig);
  const auto first = rig.open(options_of(path, folder.path()));
  CHECK(outcome(first) == "written");
  CHECK(packed_bytes(first) == 0);
  CHECK(names(folder.path()).size() == 1);
  const auto second = rig.open(options_of(path, folder.path()));
  CHECK(outcome(second) == "used");
  CHECK(packed_bytes(second) > 0);
  CHECK(second->plan().packed_bytes == packed_bytes(second));
  CHECK(second->plan().weight_bytes == 0);
  CHECK(logits(second) == logits(first));
  CHECK(outcome(rig.open(options_of(path))).empty());
  // Another model has a file of its own.
  CHECK(outcome(rig.open(options_of(std::string(DS_TINY_DIR) + "/lite", folder.path()))) == "written");
  CHECK(names(folder.path()).size() == 2);
}

TEST_CASE("a damaged or cut file of the folder is written anew") {
  Rig rig({}, onednn_root());
  const TemporaryFolder folder;
  const std::string path = synth_file(rig);
  const std::vector<float> expected = logits(rig.open(options_of(path, folder.path())));
  const std::string file = names(folder.path())[0], whole = TemporaryFolder::read(file);
  for (const size_t size : {size_t{0}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    std::filesystem::resize_file(file, size);
    const auto model = rig.open(options_of(path, folder.path()));
    CHECK(outcome(model) == "written");
    CHECK(logits(model) == expected);
    CHECK(TemporaryFolder::read(file) == whole);
  }
  write_short_hints(file, file);
  const auto model = rig.open(options_of(path, folder.path()));
  CHECK(packed_bytes(model) == 0);
  CHECK(outcome(model).starts_with("not used: "));
  CHECK(logits(model) == expected);
#if !defined(_WIN32)
  CHECK(names(folder.path()).empty());
  CHECK(outcome(rig.open(options_of(path, folder.path(), MapMode::kNever))) == "written");
  CHECK(TemporaryFolder::read(file) == whole);
#endif
  CHECK(logits(rig.open(options_of(path, folder.path(), MapMode::kNever))) == expected);
}

TEST_CASE("without memory for a packed weight the folder's file stays as it is") {
  static std::atomic<uint64_t> too_large{0};  // bytes that there is no memory for, once
  RuntimeOptions options;
  options.allocator.allocate = [](void *, uint64_t size, uint64_t alignment, uint32_t tag) -> void * {
    uint64_t expected = size;
    if (tag == static_cast<uint32_t>(MemoryTag::kWeights) && too_large.compare_exchange_strong(expected, 0))
      return nullptr;
    return default_allocator().allocate(nullptr, size, alignment, tag);
  };
  options.allocator.release = [](void *, void *memory, uint64_t size, uint32_t tag) {
    default_allocator().release(nullptr, memory, size, tag);
  };
  Rig rig(options, onednn_root());
  const TemporaryFolder folder;
  const std::string path = synth_file(rig);
  CHECK(outcome(rig.open(options_of(path, folder.path()))) == "written");
  too_large = hints_of(names(folder.path())[0])[0].section.range.bytes;
  const auto model = rig.open(options_of(path, folder.path(), MapMode::kNever));
  CHECK(too_large == 0);
  CHECK(packed_bytes(model) > 0);  // the others
  CHECK(outcome(model).starts_with("not used: "));
  CHECK(outcome(rig.open(options_of(path, folder.path()))) == "used");
}

TEST_CASE("a folder that takes no file fails no open") {
  Rig rig({}, onednn_root());
  const TemporaryFolder folder;
  const std::string path = synth_file(rig);
  const auto model = rig.open(options_of(path, folder / "missing"));
  CHECK(outcome(model).starts_with("not written: "));
  CHECK(logits(model) == logits(rig.open(options_of(path))));
}

TEST_CASE("an open that is stopped leaves nothing in the folder") {
  Rig rig({}, onednn_root());
  const TemporaryFolder folder;
  OpenOptions options = options_of(synth_file(rig), folder.path());
  bool wrote = false;
  options.progress = [&](const Progress &progress) {
    wrote = wrote || !names(folder.path()).empty();
    return !(wrote && progress.stage == Stage::kLoad);
  };
  CHECK(Model::open(rig.runtime, options).status().code() == DS_E_STOPPED);
  CHECK(wrote);
  CHECK(names(folder.path()).empty());
}

TEST_CASE("opens of one model at the same time share a folder") {
  Rig rig({}, onednn_root());
  const TemporaryFolder folder;
  const std::string path = synth_file(rig);
  const std::vector<float> expected = logits(rig.open(options_of(path)));
  std::vector<std::shared_ptr<Model>> models(4);
  std::vector<std::thread> threads;
  for (auto &model : models)
    threads.emplace_back([&] {
      auto opened = Model::open(rig.runtime, options_of(path, folder.path()));
      if (opened.ok()) model = *opened;
    });
  for (std::thread &thread : threads) thread.join();
  for (const auto &model : models) {
    REQUIRE(model);
    CHECK((outcome(model) == "written" || outcome(model) == "used"));
    CHECK(logits(model) == expected);
  }
  CHECK(names(folder.path()).size() == 1);
}
