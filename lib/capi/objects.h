// What the handles of the C API name: one small owner per kind, over the objects of lib/session.
//
// Parents stay alive through the session objects themselves. Objects whose end may free the host's memory or wait for
// anything are ended by the runtime's housekeeping thread, not by the thread that releases the handle.
#pragma once

#include <memory>
#include <vector>

#include "base/cancel.h"
#include "capi/handles.h"
#include "capi/host.h"
#include "capi/info.h"
#include "capi/log_ring.h"
#include "session/adapter.h"
#include "session/job.h"
#include "session/model.h"
#include "session/runtime_state.h"
#include "session/session.h"

namespace deepseam::capi {

struct RuntimeObject final : Object {
  static constexpr HandleKind kKind = HandleKind::kRuntime;
  std::shared_ptr<session::RuntimeState> state;
  std::shared_ptr<Log> log;
  std::vector<uint32_t> cpus;
};

struct ModelObject final : Object {
  static constexpr HandleKind kKind = HandleKind::kModel;
  std::shared_ptr<session::Model> model;
};

struct SessionObject final : Object, session::Retirable {
  static constexpr HandleKind kKind = HandleKind::kSession;
  std::shared_ptr<session::Session> session;
  void retire() noexcept override {
    const std::shared_ptr<session::Service> service = session->model()->runtime()->service();
    service->retire(this);
  }
};

struct JobObject final : Object {
  static constexpr HandleKind kKind = HandleKind::kJob;
  std::shared_ptr<session::Job> job;
  ~JobObject() override {
    if (job) job->abandon();  // none if the start failed
  }
};

struct ResultObject final : Object {
  static constexpr HandleKind kKind = HandleKind::kResult;
  std::unique_ptr<session::ResultData> data;
};

struct AdapterObject final : Object, session::Retirable {
  static constexpr HandleKind kKind = HandleKind::kAdapter;
  std::shared_ptr<session::Adapter> adapter;
  void retire() noexcept override {
    const std::shared_ptr<session::Service> service = adapter->model()->runtime()->service();
    service->retire(this);
  }
};

struct CancelObject final : Object {
  static constexpr HandleKind kKind = HandleKind::kCancel;
  std::shared_ptr<CancelWord> word = std::make_shared<CancelWord>();
};

struct CacheObject final : Object {
  static constexpr HandleKind kKind = HandleKind::kCache;
  std::shared_ptr<session::RuntimeState> runtime;
  std::shared_ptr<kv::Cache> cache;
};

// Whether something can be asked of these now: DS_E_SHUT_DOWN, or why the handle was refused.
inline Status usable(const Pinned<RuntimeObject> &runtime) {
  DS_TRY(runtime.status());
  return runtime->state->check_open();
}
inline Status usable(const Pinned<ModelObject> &model) {
  DS_TRY(model.status());
  return model->model->runtime()->check_open();
}
inline Status usable(const Pinned<SessionObject> &session) {
  DS_TRY(session.status());
  return session->session->model()->runtime()->check_open();
}
inline Status usable(const Pinned<AdapterObject> &adapter) {
  DS_TRY(adapter.status());
  return adapter->adapter->model()->runtime()->check_open();
}
inline Status usable(const Pinned<CacheObject> &cache) {
  DS_TRY(cache.status());
  return cache->runtime->check_open();
}

// Hands a new object to the caller. `handle` was checked and set to NULL before.
template <typename Handle, typename Type>
Status publish(std::unique_ptr<Type> object, Handle **handle) {
  *handle = static_cast<Handle *>(handle_publish(Type::kKind, std::move(object)));
  if (*handle) return Status();
  return fail(DS_E_MEMORY, "capi", "%u handles are in use, and there can be no more", kMostHandles);
}

inline Status publish_facts(session::Facts facts, ds_info **info) {
  return publish(std::make_unique<Info>(std::move(facts)), info);
}

// The place for a new handle: not NULL, set to NULL.
template <typename Handle>
Status prepare_handle(Handle **handle, const char *name) {
  if (!handle) return fail(DS_E_ARGUMENT, "capi", "%s is NULL", name);
  *handle = nullptr;
  return Status();
}

}  // namespace deepseam::capi
