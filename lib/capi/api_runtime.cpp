// ds_runtime_*, ds_device_*, events and the log; ds_cancel_*; ds_info_*; facts about the library itself.
#include "capi/info.h"
#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/structs.h"
#include "capi/wall.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

constexpr uint64_t kDefaultShutdownNs = 1'000'000'000;

// ds_runtime_options as far as they are plain values.
Status read_values(const ds_runtime_options &from, RuntimeObject *object, session::RuntimeOptions *to) {
  if (from.abi_version != DS_ABI_VERSION)
    return fail(DS_E_ABI, "capi", "the program was made for ABI %u.%u, this library has %u.%u", from.abi_version >> 16,
                from.abi_version & 0xffff, DS_ABI_MAJOR, DS_ABI_MINOR);
  DS_TRY(check_flags(from.flags, DS_RUNTIME_SPIN | DS_RUNTIME_NO_AMX | DS_RUNTIME_NO_DEFAULT_PLUGINS,
                     "ds_runtime_options.flags"));
  if (from.log_level > DS_LOG_DEBUG && from.log_level != DS_LOG_OTHER)
    return fail(DS_E_ARGUMENT, "capi", "ds_runtime_options.log_level is %u, expected DS_LOG_*", from.log_level);
  if (from.n_threads > 1024)
    return fail(DS_E_ARGUMENT, "capi", "ds_runtime_options.n_threads is %u, expected at most 1024", from.n_threads);
  DS_TRY(check_array(from.cpus, from.n_cpus, sizeof(uint32_t), "ds_runtime_options.cpus"));
  DS_TRY(check_array(from.plugin_dirs, from.n_plugin_dirs, sizeof(ds_text), "ds_runtime_options.plugin_dirs"));
  DS_TRY(read_options(from.options, from.n_options, [](const OptionView &, bool *known) {
    *known = false;
    return Status();
  }));
  object->cpus.assign(from.cpus, from.cpus + from.n_cpus);
  DS_TRY(AffinityScope::check(object->cpus));
  to->n_threads = from.n_threads || object->cpus.empty() ? from.n_threads : from.n_cpus;
  to->spin = from.flags & DS_RUNTIME_SPIN;
  to->default_plugins = !(from.flags & DS_RUNTIME_NO_DEFAULT_PLUGINS);
  std::string_view cap;
  DS_TRY(read_text(from.isa_cap, "ds_runtime_options.isa_cap", &cap));
  if (!cap.empty() && cap != "avx2" && cap != "avx512" && cap != "amx")
    return fail(DS_E_ARGUMENT, "capi", "ds_runtime_options.isa_cap is \"%.*s\", expected avx2, avx512 or amx",
                static_cast<int>(std::min<size_t>(cap.size(), 32)), cap.data());
  to->isa_cap = cap;
  if ((from.flags & DS_RUNTIME_NO_AMX) && (cap.empty() || cap == "amx")) to->isa_cap = "avx512";
  for (uint64_t i = 0; i < from.n_plugin_dirs; ++i) {
    std::string_view dir;
    DS_TRY(read_text(from.plugin_dirs[i], "ds_runtime_options.plugin_dirs", &dir));
    to->plugin_dirs.emplace_back(dir);
  }
  return Status();
}

void read_callbacks(const ds_runtime_options &from, HostUsers *users, session::RuntimeOptions *to) {
  to->keep_alive.push_back(users->add(from.log_user, from.log_free));
  to->keep_alive.push_back(users->add(from.verify_user, from.verify_free));
  to->keep_alive.push_back(users->add(from.wake_user, from.wake_free));
  if (from.wake)
    to->wake = [wake = from.wake, user = from.wake_user] {
      const CallbackScope scope;
      wake(user);
    };
  if (from.verify_plugin)
    to->verify_plugin = [verify = from.verify_plugin, user = from.verify_user](
                            const std::string &name, const std::string &path, std::span<const uint8_t> binary,
                            std::span<const uint8_t> signature) {
      ds_plugin_file file{};
      file.struct_size = sizeof file;
      file.name = {name.data(), name.size()};
      file.path = {path.data(), path.size()};
      file.binary = binary.data();
      file.binary_size = binary.size();
      file.signature = signature.data();
      file.signature_size = signature.size();
      const CallbackScope scope;
      return verify(user, &file);
    };
}

// The host's allocator and task runner, if it gives them.
Status read_services(const ds_runtime_options &from, HostUsers *users, session::RuntimeOptions *to) {
  if (from.allocator) {
    ds_allocator record;
    DS_TRY(read_struct(from.allocator, &record));
    DS_TRY_VALUE(to->allocator, host_allocator(record));
    to->keep_alive.push_back(users->add(record.user, record.user_free));
  }
  if (from.task_runner) {
    ds_task_runner record;
    DS_TRY(read_struct(from.task_runner, &record));
    DS_TRY_VALUE(to->task_runner, host_task_runner(record, users->add(record.user, record.user_free)));
  }
  return Status();
}

Status create_runtime(const ds_runtime_options *given, ds_runtime **runtime) {
  DS_TRY(prepare_handle(runtime, "runtime"));
  ds_runtime_options from;
  DS_TRY(read_struct(given, &from));
  auto object = std::make_unique<RuntimeObject>();
  session::RuntimeOptions options;
  HostUsers users;
  DS_TRY(read_values(from, object.get(), &options));
  object->log = std::make_shared<Log>(from.log_level, from.log, from.log_user);
  options.log = object->log->sink();
  options.keep_alive.push_back(object->log);
  read_callbacks(from, &users, &options);
  DS_TRY(read_services(from, &users, &options));
  const AffinityScope affinity(object->cpus);
  DS_TRY_VALUE(object->state, session::RuntimeState::create(std::move(options)));
  DS_TRY(publish(std::move(object), runtime));
  users.arm();
  return Status();
}

}  // namespace

uint32_t ds_abi_version(void) { return DS_ABI_VERSION; }
const char *ds_version_string(void) { return DS_VERSION_STRING; }
const char *ds_status_string(ds_status status) { return status_name(status); }
uint64_t ds_live_objects(void) { return handle_count(); }

ds_status ds_runtime_create(const ds_runtime_options *options, ds_runtime **runtime, ds_error *error) {
  return blocking_entry(error, [&] { return create_runtime(options, runtime); });
}

ds_status ds_runtime_shutdown(ds_runtime *runtime, uint64_t timeout_ns, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(object.status());
    return object->state->shutdown(timeout_ns ? timeout_ns : kDefaultShutdownNs);
  });
}

void ds_runtime_release(ds_runtime *runtime) { handle_release(runtime, HandleKind::kRuntime); }

ds_status ds_runtime_load_plugin(ds_runtime *runtime, const char *path, uint64_t path_size, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(usable(object));
    std::string_view text;
    DS_TRY(read_text(path, path_size, "path", &text));
    if (text.empty()) return fail(DS_E_ARGUMENT, "capi", "path is empty");
    const AffinityScope affinity(object->cpus);
    return object->state->load_plugin(std::string(text));
  });
}

ds_status ds_runtime_register_backend(ds_runtime *runtime, ds_backend_entry backend_main, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(usable(object));
    if (!backend_main) return fail(DS_E_ARGUMENT, "capi", "entry is NULL");
    const dsb_root *root = backend_main();
    if (!root) return fail(DS_E_PLUGIN, "capi", "the backend's ds_backend_main returned NULL");
    const AffinityScope affinity(object->cpus);
    return object->state->register_backend(root);
  });
}

ds_status ds_runtime_plugin_report(ds_runtime *runtime, ds_info **report, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(report, "report"));
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(usable(object));
    const AffinityScope affinity(object->cpus);
    DS_TRY_VALUE(session::Facts facts, object->state->plugin_report());
    return publish_facts(std::move(facts), report);
  });
}

ds_status ds_device_count(ds_runtime *runtime, uint32_t *count, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    if (!count) return fail(DS_E_ARGUMENT, "capi", "count is NULL");
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(usable(object));
    const AffinityScope affinity(object->cpus);
    DS_TRY_VALUE(*count, object->state->device_count());
    return Status();
  });
}

ds_status ds_device_info(ds_runtime *runtime, uint32_t index, ds_info **info, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(info, "info"));
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(usable(object));
    const AffinityScope affinity(object->cpus);
    DS_TRY_VALUE(session::Facts facts, object->state->device_facts(index));
    return publish_facts(std::move(facts), info);
  });
}

ds_status ds_process_events(ds_runtime *runtime, uint64_t timeout_ns, uint64_t *n_delivered, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(usable(object));
    DS_TRY_VALUE(const uint64_t n, object->state->process_events(timeout_ns));
    if (n_delivered) *n_delivered = n;
    return Status();
  });
}

ds_status ds_log_read(ds_runtime *runtime, uint32_t *level, char *buffer, uint64_t capacity, uint64_t *size,
                      ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<RuntimeObject> object(runtime);
    DS_TRY(object.status());
    return object->log->read(level, buffer, capacity, size);
  });
}

ds_status ds_cancel_create(ds_cancel **cancel, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(cancel, "cancel"));
    return publish(std::make_unique<CancelObject>(), cancel);
  });
}

// Also runs in signal handlers: nothing here allocates or locks unless the handle is bad and error is given.
ds_status ds_cancel_set(ds_cancel *cancel, ds_error *error) {
  ds_status why;
  auto *object = static_cast<CancelObject *>(handle_pin(cancel, HandleKind::kCancel, &why));
  if (!object) return error ? report(handle_failure(why, HandleKind::kCancel, !cancel), error) : why;
  object->word->set();
  handle_unpin(cancel);
  return DS_OK;
}

void ds_cancel_release(ds_cancel *cancel) { handle_release(cancel, HandleKind::kCancel); }

ds_status ds_info_get_u64(const ds_info *info, const char *key, uint64_t *value, ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<Info> object(info);
    DS_TRY(object.status());
    return object->get_u64(key, value);
  });
}

ds_status ds_info_get_f64(const ds_info *info, const char *key, double *value, ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<Info> object(info);
    DS_TRY(object.status());
    return object->get_f64(key, value);
  });
}

ds_status ds_info_get_text(const ds_info *info, const char *key, ds_text *view, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!view) return fail(DS_E_ARGUMENT, "capi", "view is NULL");
    const Pinned<Info> object(info);
    DS_TRY(object.status());
    std::string_view text;
    DS_TRY(object->get_text(key, &text));
    *view = {text.data(), text.size()};
    return Status();
  });
}

ds_status ds_info_json(const ds_info *info, ds_text *view, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!view) return fail(DS_E_ARGUMENT, "capi", "view is NULL");
    const Pinned<Info> object(info);
    DS_TRY(object.status());
    *view = {object->json().data(), object->json().size()};
    return Status();
  });
}

void ds_info_release(ds_info *info) { handle_release(info, HandleKind::kInfo); }
