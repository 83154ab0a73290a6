// What needs a process of its own: leaving it, unloading and reloading, memory of many cycles, two copies of the
// library, foreign locales, the host's own oneDNN, AMX that the system does not give. usage: hostile_process MODE
// [TIMES]; exit status 77 and a reason when a mode cannot run here.
//
// The library is loaded, not linked, so that it can be unloaded.
#include <dlfcn.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "hostile/guest.h"

using namespace hostile;

namespace {

bool is_mapped(const char *name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find(name) != std::string::npos) return true;
  return false;
}

int leave(int times) {
  for (int i = 0; i < times; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      Guest guest(REAL_LIBRARY);
      guest.open("ref");
      guest.start();
      usleep(static_cast<useconds_t>(1000 * i));
      std::exit(0);  // handlers of the C library run while our threads do
    }
    int state = -1;
    for (int waited = 0; waitpid(child, &state, WNOHANG) == 0; ++waited) {
      if (waited > 3000) {
        kill(child, SIGKILL);
        stop("exit hangs");
      }
      usleep(10'000);
    }
    if (state != 0) stop(WIFSIGNALED(state) ? "exit ended in a signal" : "exit ended in a failure");
  }
  return 0;
}

int reload(int times) {
  std::vector<uint32_t> first;
  for (int i = 0; i < times; ++i) {
    Guest guest(REAL_LIBRARY);
    guest.open("ref");
    const auto ids = guest.generate();
    if (i == 0) first = ids;
    if (ids != first) stop("other tokens after reloading");
    guest.close();
    if (is_mapped("libdeepseam")) stop("the library stays mapped after dlclose");
  }
  return 0;
}

uint64_t resident() {
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, pages = 0;
  file >> size >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Runtime, model, session, a generation, a job, everything closed: memory stays flat. A leak of 200 bytes in each of
// 7,500 cycles would be 1.5 MB. The heap takes some time to grow to its size, so one flat round in four is enough; a
// leak shows in each.
int cycles(int times) {
  Guest guest(REAL_LIBRARY);
  const auto run = [&](int n) {
    for (int i = 0; i < n; ++i) {
      guest.open("ref");
      if (guest.generate().size() != 12) stop("other than 12 tokens");
      guest.library.api.job_release(guest.start());
      guest.end();
      if (guest.library.api.live_objects()) stop("handles are left");
    }
  };
  run(times / 4);
  for (int round = 0; round < 4; ++round) {
    const uint64_t before = resident();
    run(times * 3 / 4);
    const int64_t grown = static_cast<int64_t>(resident() - before);
    std::printf("round %d: %d cycles, %lld bytes more\n", round, times * 3 / 4, static_cast<long long>(grown));
    std::fflush(stdout);
    if (grown < 1'500'000) return guest.close_library(), 0;
  }
  stop("memory grew by 1.5 MB or more in each of four rounds");
}

int copies() {
  const std::string paths[] = {copy_of_library("libone.so"), copy_of_library("libtwo.so")};
  Guest one(paths[0].c_str()), two(paths[1].c_str());
  if (one.library.api.runtime_create == two.library.api.runtime_create) stop("both copies are one library");
  one.open("ref");
  two.open("ref");
  ds_job *job = one.start();
  const auto ids = two.generate();
  ds_info *info = nullptr;
  if (two.library.api.model_info(one.model, &info, &two.error) != DS_E_HANDLE) stop("a foreign handle was accepted");
  one.check(one.library.api.job_cancel(job, &one.error), "job_cancel");
  one.check(one.library.api.job_wait(job, UINT64_MAX, &one.error), "job_wait");
  one.library.api.job_release(job);
  if (one.generate() != ids) stop("the copies differ");
  one.close();
  if (two.generate() != ids) stop("the second copy changed when the first one went");
  two.close();
  for (const std::string &path : paths) remove_copy(path);
  return 0;
}

int german() {
  std::vector<uint32_t> ids;
  {
    Guest guest(REAL_LIBRARY);
    guest.open("ref");
    ids = guest.generate();
    guest.close();
  }
  if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE.utf8") && !setlocale(LC_ALL, "de_DE")) {
    std::puts("skipped: the locale de_DE is not installed");
    return 77;
  }
  char number[16];
  std::snprintf(number, sizeof number, "%.1f", 0.5);
  if (std::strcmp(number, "0,5") != 0) stop("the locale has no decimal comma");
  Guest guest(REAL_LIBRARY);
  guest.open("ref");
  if (guest.generate() != ids) stop("other tokens under another locale");
  ds_info *info = nullptr;
  guest.check(guest.library.api.model_info(guest.model, &info, &guest.error), "model_info");
  ds_text json{};
  guest.check(guest.library.api.info_json(info, &json, &guest.error), "info_json");
  double load_ms = 0;
  guest.check(guest.library.api.info_get_f64(info, "load_ms", &load_ms, &guest.error), "load_ms");
  const std::string text(json.data, json.size);
  const size_t at = text.find("\"load_ms\":");
  if (at == text.npos || text.substr(at, 24).find('.') == text.npos) stop("a number without a decimal point");
  guest.library.api.info_release(info);
  guest.close();
  return 0;
}

int other_onednn() {
  void *theirs = nullptr;
  for (const char *name : {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"})
    if (!theirs) theirs = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (!theirs) {
    std::puts("skipped: oneDNN is not installed");
    return 77;
  }
  Guest guest(REAL_LIBRARY);
  guest.open("ref");
  const auto ids = guest.generate();
  guest.close();
  Guest again(REAL_LIBRARY);
  again.open("onednn");
  if (again.generate() != ids) stop("other tokens with the host's oneDNN loaded");
  again.close();
  return 0;
}

// From here on the system does `answer` (SECCOMP_RET_*) when this process asks for AMX state. False: no such filters
// here.
bool answer_amx(uint32_t answer) {
#if defined(__x86_64__)
  constexpr uint32_t kRequestState = 0x1023;  // ARCH_REQ_XCOMP_PERM
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_arch_prctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRequestState, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof rules / sizeof rules[0], rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
  (void)answer;
  return false;
#endif
}

// What a child computes that may not have AMX, or must not ask for it: the same as this process, which may.
int without_amx(uint32_t answer, uint32_t flags, const char *what) {
  const pid_t child = fork();
  if (child == 0) {
    if (!answer_amx(answer)) std::_Exit(77);
    Guest guest(REAL_LIBRARY);
    guest.open("onednn", flags);
    const auto ids = guest.generate();
    guest.close();
    Guest plain(REAL_LIBRARY);
    plain.open("ref");
    if (plain.generate() != ids) stop("other tokens");
    plain.close();
    std::_Exit(0);
  }
  int state = -1;
  waitpid(child, &state, 0);
  if (WIFEXITED(state) && WEXITSTATUS(state) == 77) return 77;
  if (state != 0) stop(what);
  return 0;
}

int amx() {
  const int refused = without_amx(SECCOMP_RET_ERRNO | 1u, 0, "AMX that is refused does harm");
  const int unasked = without_amx(SECCOMP_RET_KILL_PROCESS, DS_RUNTIME_NO_AMX, "asks for AMX in spite of NO_AMX");
  if (refused == 77 || unasked == 77) std::puts("skipped: this system has no seccomp filters");
  return refused ? refused : unasked;
}

}  // namespace

int main(int argc, char **argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const int times = argc > 2 ? std::atoi(argv[2]) : 1;
  if (mode == "exit") return leave(times);
  if (mode == "reload") return reload(times);
  if (mode == "cycles") return cycles(times);
  if (mode == "copies") return copies();
  if (mode == "locale") return german();
  if (mode == "onednn") return other_onednn();
  if (mode == "amx") return amx();
  std::puts("usage: hostile_process exit|reload|cycles|copies|locale|onednn|amx [TIMES]");
  return 2;
}
