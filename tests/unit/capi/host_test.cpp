// The host's callbacks as the library uses them: files, task runner, user_free, CPUs.
#include "capi/host.h"

#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "capi/wall.h"

#if defined(__linux__)
#include <sched.h>
#endif

using namespace deepseam;
using namespace deepseam::capi;

namespace {

// Files of a host in memory.
struct HostArchive {
  std::map<std::string, std::string> files;
  ds_status read_status = DS_OK;
  int open_files = 0, frees = 0;
  bool in_callback_everywhere = true;

  ds_source_io record() {
    ds_source_io io{};
    io.head.struct_size = sizeof io;
    io.head.tag = DS_SOURCE_IO;
    io.user = this;
    io.open = [](void *user, const char *name, void **file) -> ds_status {
      auto *self = static_cast<HostArchive *>(user);
      self->in_callback_everywhere &= in_callback();
      const auto found = self->files.find(name);
      if (found == self->files.end()) return DS_E_NOT_FOUND;
      *file = &found->second;
      ++self->open_files;
      return DS_OK;
    };
    io.size = [](void *, void *file, uint64_t *size) -> ds_status {
      *size = static_cast<std::string *>(file)->size();
      return DS_OK;
    };
    io.read_at = [](void *user, void *file, uint64_t offset, void *into, uint64_t size) -> ds_status {
      auto *self = static_cast<HostArchive *>(user);
      if (self->read_status == DS_OK) std::memcpy(into, static_cast<std::string *>(file)->data() + offset, size);
      return self->read_status;
    };
    io.close = [](void *user, void *) { --static_cast<HostArchive *>(user)->open_files; };
    io.user_free = [](void *user) {
      auto *self = static_cast<HostArchive *>(user);
      self->frees += 1 + 100 * self->open_files;  // must come after the last close
    };
    return io;
  }
};

}  // namespace

TEST_CASE("user_free runs once, and only if the call was a success") {
  int frees = 0;
  const ds_free_fn count = [](void *user) { ++*static_cast<int *>(user); };
  { HostUser user(&frees, count); }
  CHECK(frees == 0);
  {
    HostUsers users;
    const auto share = users.add(&frees, count);
    users.arm();
  }
  CHECK(frees == 1);
}

TEST_CASE("host files are opened, read and closed, and user_free comes last") {
  HostArchive archive;
  archive.files["config.json"] = "0123456789";
  const ds_source_io record = archive.record();
  HostUsers users;
  auto folder = host_folder(record, users.add(record.user, record.user_free));
  REQUIRE(folder.ok());
  users.arm();
  auto source = folder.value()->open("config.json");
  REQUIRE(source.ok());
  CHECK(source.value()->size() == 10);
  uint8_t bytes[4];
  REQUIRE(source.value()->read_at(3, bytes).ok());
  CHECK(std::memcmp(bytes, "3456", 4) == 0);
  CHECK(source.value()->read_at(8, bytes).code() == DS_E_IO);
  CHECK(source.value()->read_at(UINT64_MAX, bytes).code() == DS_E_IO);
  archive.read_status = DS_E_PERMISSION;
  CHECK(source.value()->read_at(0, bytes).code() == DS_E_PERMISSION);
  folder = Status(DS_E_IO);
  users = HostUsers();
  CHECK(archive.frees == 0);
  source = Status(DS_E_IO);
  CHECK(archive.frees == 1);
  CHECK(archive.in_callback_everywhere);
}

TEST_CASE("a missing host file is NOT_FOUND, a nonsense size is refused") {
  HostArchive archive;
  archive.files["huge"] = "x";
  ds_source_io record = archive.record();
  record.size = [](void *, void *, uint64_t *size) -> ds_status { return *size = UINT64_MAX, DS_OK; };
  auto folder = host_folder(record, nullptr);
  REQUIRE(folder.ok());
  CHECK(folder.value()->open("none").status().code() == DS_E_NOT_FOUND);
  CHECK(folder.value()->open("huge").status().code() == DS_E_FORMAT);
  CHECK(archive.open_files == 0);
}

TEST_CASE("incomplete records are refused") {
  HostArchive archive;
  ds_source_io io = archive.record();
  io.read_at = nullptr;
  CHECK(host_folder(io, nullptr).status().code() == DS_E_ARGUMENT);
  io = archive.record();
  io.flags = 4;
  CHECK(host_folder(io, nullptr).status().code() == DS_E_UNKNOWN_FIELD);
  ds_task_runner runner{};
  runner.run = [](void *, uint32_t, ds_task_fn, void *) {};
  CHECK(host_task_runner(runner, nullptr).status().code() == DS_E_ARGUMENT);  // width 0
  ds_allocator allocator{};
  CHECK(host_allocator(allocator).status().code() == DS_E_ARGUMENT);
  ds_source_memory memory{};
  CHECK(host_memory(memory, nullptr).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("a host's task runner gets every task, with our floating-point environment inside") {
  ds_task_runner record{};
  record.width = 3;
  record.flags = DS_TASKS_CONCURRENT;
  record.run = [](void *, uint32_t n, ds_task_fn task, void *data) {
    std::thread([=] {
      for (uint32_t i = n; i-- > 0;) task(data, i);
    }).join();
  };
  auto runner = host_task_runner(record, nullptr);
  REQUIRE(runner.ok());
  CHECK(runner.value()->width() == 3);
  CHECK(runner.value()->concurrent());
  int seen[10] = {};
  runner.value()->run(
      10, [](void *user, uint32_t i) { ++static_cast<int *>(user)[i]; }, seen);
  for (int count : seen) CHECK(count == 1);
}

TEST_CASE("memory sources keep the host's memory until the last reader is gone") {
  int frees = 0;
  const std::string bytes = "model";
  ds_source_memory record{};
  record.data = bytes.data();
  record.size = bytes.size();
  HostUsers users;
  auto source = host_memory(record, users.add(&frees, [](void *user) { ++*static_cast<int *>(user); }));
  REQUIRE(source.ok());
  users.arm();
  users = HostUsers();
  CHECK(source.value()->view().size() == 5);
  CHECK(frees == 0);
  source = Status(DS_E_IO);
  CHECK(frees == 1);
}

#if defined(__linux__)
TEST_CASE("threads started inside an affinity scope inherit it, and the caller gets its own back") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  uint32_t cpu = 0;
  while (!CPU_ISSET(cpu, &before)) ++cpu;
  REQUIRE(AffinityScope::check({cpu}).ok());
  CHECK(AffinityScope::check({CPU_SETSIZE + 1}).code() == DS_E_ARGUMENT);
  cpu_set_t inside;
  {
    const AffinityScope scope({cpu});
    std::thread([&] { sched_getaffinity(0, sizeof inside, &inside); }).join();
  }
  CHECK(CPU_COUNT(&inside) == 1);
  CHECK(CPU_ISSET(cpu, &inside));
  cpu_set_t after;
  REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&before, &after));
}
#endif
