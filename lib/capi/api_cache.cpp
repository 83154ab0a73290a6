// ds_cache_*: the in-memory tier. Options that ask for a disk or an external tier are refused.
#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

Status read_cache_options(const ds_cache_options *given, kv::CacheOptions *into) {
  ds_cache_options from;
  DS_TRY(read_optional(given, &from));
  DS_TRY(check_flags(from.flags, 0, "ds_cache_options.flags"));
  DS_TRY(read_options(from.options, from.n_options, [](const OptionView &, bool *known) {
    *known = false;
    return Status();
  }));
  if (from.directory.size || from.disk_bytes || from.min_free_bytes || from.max_age_s || from.max_write_bytes_per_day ||
      from.seal || from.unseal)
    return fail(DS_E_UNSUPPORTED, "capi", "this library has no disk tier; leave directory and its limits empty");
  if (from.external) return fail(DS_E_UNSUPPORTED, "capi", "this library has no external tier; leave external NULL");
  if (from.device_bytes)
    return fail(DS_E_UNSUPPORTED, "capi", "device_bytes cannot be set; models' own budgets decide");
  if (from.ram_bytes) into->ram_bytes = from.ram_bytes;
  return Status();
}

Status open(ds_runtime *runtime, const ds_cache_options *options, ds_cache **cache) {
  DS_TRY(prepare_handle(cache, "cache"));
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  kv::CacheOptions read;
  DS_TRY(read_cache_options(options, &read));
  auto opened = std::make_unique<CacheObject>();
  opened->runtime = object->state;
  opened->cache = std::make_shared<kv::Cache>(read);
  return publish(std::move(opened), cache);
}

session::Facts stats_facts(const kv::KvStats &stats, uint64_t limit) {
  session::Facts facts;
  facts.add("ram.bytes", stats.bytes_used);
  facts.add("ram.limit", limit);
  facts.add("blocks", stats.blocks_used);
  facts.add("blocks_total", stats.blocks_total);
  facts.add("tokens", stats.tokens_held);
  facts.add("lookups", stats.lookups);
  facts.add("hits", stats.hits);
  facts.add("hit_tokens", stats.hit_tokens);
  facts.add("computed_tokens", stats.computed_tokens);
  facts.add("evictions", stats.evicted_blocks);
  return facts;
}

}  // namespace

ds_status ds_cache_open(ds_runtime *runtime, const ds_cache_options *options, ds_cache **cache, ds_error *error) {
  return blocking_entry(error, [&] { return open(runtime, options, cache); });
}

// Memory has nothing to flush to.
ds_status ds_cache_flush(ds_cache *cache, ds_error *error) {
  return blocking_entry(error, [&] { return usable(Pinned<CacheObject>(cache)); });
}

ds_status ds_cache_trim(ds_cache *cache, uint64_t ram_bytes, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<CacheObject> object(cache);
    DS_TRY(usable(object));
    object->cache->trim(ram_bytes);
    return Status();
  });
}

ds_status ds_cache_erase(ds_cache *cache, const char *salt, uint64_t salt_size, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<CacheObject> object(cache);
    DS_TRY(usable(object));
    std::string_view text;
    DS_TRY(read_text(salt, salt_size, "salt", &text));
    object->cache->erase(text);
    return Status();
  });
}

ds_status ds_cache_stats(ds_cache *cache, ds_info **stats, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(stats, "stats"));
    const Pinned<CacheObject> object(cache);
    DS_TRY(usable(object));
    return publish_facts(stats_facts(object->cache->stats(), object->cache->options().ram_bytes), stats);
  });
}

ds_status ds_cache_read_event(ds_cache *cache, ds_cache_event *event, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(check_out(event));
    const Pinned<CacheObject> object(cache);
    DS_TRY(usable(object));
    kv::KvEvent read;
    if (!object->cache->read_event(&read)) return Status(DS_E_PENDING);
    ds_cache_event record{};
    record.kind = static_cast<uint32_t>(read.kind);
    record.tokens = read.tokens;
    record.bytes = read.bytes;
    record.dropped = read.dropped;
    write_struct(record, event);
    return Status();
  });
}

void ds_cache_release(ds_cache *cache) { handle_release(cache, HandleKind::kCache); }
