// See packed_weights.h.
#include "session/packed_weights.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "base/parallel_read.h"

namespace deepseam::session {
namespace {

// Raised when what the library makes of a file's numbers before a backend gets them changes.
constexpr uint64_t kSourcesVersion = 1;
constexpr uint64_t kPiece = uint64_t{8} << 20;  // written between two looks at the cancel word

void add(Hasher *hasher, uint64_t number) { hasher->add({reinterpret_cast<const uint8_t *>(&number), sizeof number}); }
void add(Hasher *hasher, std::string_view text) {
  add(hasher, text.size());
  hasher->add({reinterpret_cast<const uint8_t *>(text.data()), text.size()});
}

std::string hex(uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

// Whether a packed weight takes memory of its own although its tensors are mapped.
bool is_repacked(const runtime::Layout &layout, const runtime::PackedWeight &weight, const model::WeightMap &weights) {
  if (!weight.mappable) return true;
  return std::ranges::any_of(weight.slices, [&](const dsb_weight_slice &slice) {
    const model::WeightBinding *binding = weights.find(layout.tensors()[slice.tensor].name);
    return binding && binding->is_remade();
  });
}

std::string key_of(const runtime::Layout &layout, const runtime::PackedWeight &weight, const Fingerprint &fingerprint) {
  Hasher hasher;
  add(&hasher, kSourcesVersion);
  hasher.add(fingerprint);
  for (const dsb_weight_slice &slice : weight.slices) {
    const graph::Tensor &tensor = layout.tensors()[slice.tensor];
    add(&hasher, tensor.name);
    add(&hasher, static_cast<uint64_t>(tensor.dtype));
    add(&hasher, tensor.shape.size());
    for (const int64_t dim : tensor.shape) add(&hasher, static_cast<uint64_t>(dim));
    for (const uint64_t each : {uint64_t{slice.dim}, uint64_t{slice.begin}, uint64_t{slice.length}}) add(&hasher, each);
  }
  const Hash128 hash = hasher.value128();
  return layout.backend()->version() + "/" + hex(weight.layout_id).substr(8) + "/" + hex(hash.high) + hex(hash.low);
}

// What a plugin calls itself, as a part of a file's name.
std::string as_name(const std::string &text) {
  std::string name = text;
  for (char &c : name)
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')) c = '_';
  return name;
}

std::string file_name(const PackedPlaces &places, const Fingerprint &fingerprint) {
  Hasher keys;
  for (const std::string &key : places.keys) add(&keys, key);
  std::string name;
  for (size_t i = 0; i < 16; ++i) {
    name += "0123456789abcdef"[fingerprint[i] >> 4];
    name += "0123456789abcdef"[fingerprint[i] & 15];
  }
  return name + "-" + as_name(places.backend) + "-" + as_name(places.isa) + "-" + hex(keys.value64()) + ".dsm";
}

void take_hints(const DsmFile &file, const std::shared_ptr<Source> &source, bool in_folder, PackedPlaces *places) {
  std::unordered_map<std::string_view, const DsmHint *> hints;
  for (const DsmHint &hint : file.hints)
    if (hint.backend == places->backend && hint.isa == places->isa) hints.emplace(hint.layout, &hint);
  if (hints.empty()) return;
  for (size_t i = 0; i < places->keys.size(); ++i) {
    if (places->keys[i].empty() || places->places[i].source) continue;
    if (const auto found = hints.find(places->keys[i]); found != hints.end())
      places->places[i] = {source, found->second->section.range, in_folder};
  }
}

// What a mapped weight keeps: its pages leave memory with it.
struct KeptView {
  std::shared_ptr<Source> source;
  ByteRange range;
  ~KeptView() { source->forget(range.offset, range.bytes); }
};

// Bytes that stay as long as `keep`: the view of a mapped file, or a copy.
Result<std::span<const uint8_t>> bytes_of(const PackedPlace &place, const PackedHost &host,
                                          std::shared_ptr<const void> *keep) {
  if (place.is_mapped()) {
    *keep = std::make_shared<KeptView>(KeptView{place.source, place.range});
    return place.source->view().subspan(place.range.offset, place.range.bytes);
  }
  DS_TRY_VALUE(Buffer made, Buffer::make(host.allocator, place.range.bytes, MemoryTag::kWeights));
  auto buffer = std::make_shared<Buffer>(std::move(made));
  DS_TRY(parallel_read(*place.source, place.range.offset, {buffer->data(), buffer->size()}, *host.runner, host.cancel));
  *keep = buffer;
  return std::span<const uint8_t>(buffer->data(), buffer->size());
}

// Whether the folder's file has every weight by now. Windows replaces no file that is open, such as that of another
// open of this model that was first.
bool is_there(PackedPlaces places) {
  places.places.assign(places.keys.size(), {});
  auto source = open_file(places.folder_file, MapMode::kNever);
  if (!source.ok()) return false;
  auto file = open_dsm(*source);
  if (!file.ok()) return false;
  take_hints(*file, *source, true, &places);
  return places.all_found();
}

}  // namespace

bool PackedPlaces::all_found() const {
  for (size_t i = 0; i < keys.size(); ++i)
    if (!keys[i].empty() && !places[i].source) return false;
  return true;
}

PackedPlaces find_packed(const ModelFiles &files, const model::WeightMap &weights, const runtime::Layout &layout,
                         const runtime::DeviceInfo &device, const Fingerprint &fingerprint, const std::string &folder,
                         MapMode map) {
  PackedPlaces places;
  places.backend = layout.backend()->name();
  places.isa = device.arch;
  places.places.resize(layout.weights().size());
  for (const runtime::PackedWeight &weight : layout.weights())
    places.keys.push_back(is_repacked(layout, weight, weights) ? key_of(layout, weight, fingerprint) : std::string());
  if (files.dsm) take_hints(*files.dsm, files.tensors.sources[0], false, &places);
  const bool any = std::ranges::any_of(places.keys, [](const std::string &key) { return !key.empty(); });
  if (folder.empty() || !any || places.all_found()) return places;
  places.folder_file = folder + "/" + file_name(places, fingerprint);
  auto source = open_file(places.folder_file, map);
  if (!source.ok()) {
    if (source.status().code() != DS_E_NOT_FOUND) places.trouble = source.status().message();
    return places;
  }
  auto file = open_dsm(*source);
  if (!file.ok()) {
    places.trouble = file.status().message();
    return places;
  }
  take_hints(*file, *source, true, &places);
  return places;
}

Result<std::shared_ptr<runtime::Weight>> load_packed(const PackedPlaces &places, uint32_t index,
                                                     const std::shared_ptr<runtime::Layout> &layout,
                                                     const std::shared_ptr<runtime::Device> &device,
                                                     const PackedHost &host) {
  const PackedPlace &place = places.places[index];
  if (!place.source) return std::shared_ptr<runtime::Weight>();
  std::shared_ptr<const void> keep;
  auto bytes = bytes_of(place, host, &keep);
  Status status = bytes.status();
  if (status.ok()) {
    auto weight = runtime::Weight::map(layout, device, index, *bytes, std::move(keep));
    if (weight.ok()) return weight;
    status = std::move(weight).status();
  }
  if (status.code() != DS_E_CANCELLED)
    log_message(host.log, LogLevel::kWarning, "session", "%s: the packed weight of %s is not used: %s",
                place.source->name().c_str(), layout->tensors()[layout->weights()[index].slices[0].tensor].name.c_str(),
                status.message());
  return status;
}

Status write_packed(const PackedPlaces &places, uint32_t index, const runtime::Weight &weight, const PackedHost &host,
                    DsmWriter *writer) {
  DS_TRY_VALUE(const uint64_t size, weight.export_size());
  DS_TRY_VALUE(Buffer buffer, Buffer::make(host.allocator, size, MemoryTag::kStaging));
  DS_TRY(weight.export_to({buffer.data(), buffer.size()}));
  DS_TRY(writer->begin_hint(places.backend, places.keys[index], places.isa));
  for (uint64_t begin = 0; begin < size; begin += kPiece) {
    if (is_cancelled(host.cancel)) return Status(DS_E_CANCELLED);
    DS_TRY(writer->append_hint({buffer.data() + begin, std::min(kPiece, size - begin)}));
  }
  return writer->end_hint();
}

PackedFolder::PackedFolder(const PackedPlaces &places, const PackedHost &host) : places_(places), host_(host) {
  if (places.folder_file.empty()) return;
  outcome_ = "used";
  if (places.all_found()) return;
  if (!places.trouble.empty())
    log_message(host.log, LogLevel::kWarning, "session", "packed weights are written anew: %s", places.trouble.c_str());
  auto writer = DsmWriter::create(places.folder_file);
  if (writer.ok())
    writer_ = std::make_unique<DsmWriter>(std::move(writer).value());
  else
    give_up(writer.status());
}

void PackedFolder::give_up(const Status &why) {
  writer_.reset();
  outcome_ = std::string("not written: ") + why.message();
  log_message(host_.log, LogLevel::kWarning, "session", "packed weights are not kept: %s", why.message());
}

Status PackedFolder::add(uint32_t index, const runtime::Weight &weight) {
  const PackedPlace &place = places_.places[index];
  if (!writer_ || places_.keys[index].empty() || (place.source && !place.in_folder)) return {};
  Status status = write_packed(places_, index, weight, host_, writer_.get());
  if (status.code() == DS_E_CANCELLED) return status;
  if (!status.ok()) give_up(status);
  return {};
}

void PackedFolder::refuse(const Status &why) {
  if (writer_) return;
  outcome_ = std::string("not used: ") + why.message();
  const bool of_the_bytes = why.code() == DS_E_FORMAT || why.code() == DS_E_ARGUMENT;
  if (of_the_bytes) remove_file(places_.folder_file);  // what was taken of it stays as long as it is open
}

void PackedFolder::finish() {
  if (!writer_) return;
  const Status status = writer_->finish({}, {}, "");
  writer_.reset();
  if (!status.ok() && !is_there(places_)) return give_up(status);
  outcome_ = "written";
}

}  // namespace deepseam::session
