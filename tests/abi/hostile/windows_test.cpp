// The library coming and going in a process of Windows. usage: hostile_windows reload TIMES | exit TIMES
//
// reload: everything of one load is opened, used and closed, and its file can be replaced afterwards. exit: a child
// leaves while the library generates, each time a little later; it must end by itself, with the status it gave.
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "guest.h"

using hostile::Guest;
using hostile::stop;

namespace {

// What mingw-w64's own runtime keeps of a load: library and plugin bring a copy of winpthread each, and that forgets
// its records of threads when it is unloaded. 2,940 bytes were counted.
constexpr uint64_t kLeftByRuntime = 4096;

// Bytes that are allocated in the heaps of this process, exactly.
uint64_t heap_bytes() {
  HANDLE heaps[64];
  const DWORD n = GetProcessHeaps(64, heaps);
  uint64_t bytes = 0;
  for (DWORD i = 0; i < n && i < 64; ++i) {
    PROCESS_HEAP_ENTRY entry{};
    if (!HeapLock(heaps[i])) stop("a heap cannot be locked");
    while (HeapWalk(heaps[i], &entry))
      if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) bytes += entry.cbData;
    HeapUnlock(heaps[i]);
  }
  return bytes;
}

int reload(int times) {
  std::vector<uint32_t> first;
  uint64_t settled = 0;
  for (int i = 0; i < times; ++i) {
    Guest guest(REAL_LIBRARY);
    guest.open("ref");
    const auto ids = guest.generate();
    if (i == 0) first = ids;
    if (ids != first) stop("other tokens after reloading");
    guest.close();
    if (GetModuleHandleA("deepseam.dll")) stop("the library stays after it was closed");
    if (GetModuleHandleA("deepseam-ref.dll")) stop("a plugin stays after the library was closed");
    if (i == 4) settled = heap_bytes();
  }
  const uint64_t now = heap_bytes();
  std::printf("%d loads; allocated: %llu bytes, %llu after the fifth\n", times, static_cast<unsigned long long>(now),
              static_cast<unsigned long long>(settled));
  if (times > 5 && now > settled + kLeftByRuntime * static_cast<uint64_t>(times - 5)) stop("memory is not given back");
  return 0;
}

void leave_while_generating(int milliseconds) {
  Guest guest(REAL_LIBRARY);
  guest.open("ref");
  guest.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  std::exit(0);  // handlers of the C library run while our threads do, then those of the libraries without them
}

// CreateProcess also answers for what Wine does in the child before any code of the program runs there: if the child
// ends by then, it fails. On a busy machine that was seen once in thousands of starts, so a start, and nothing else,
// has three tries; every failed one is told.
PROCESS_INFORMATION start_child(const std::string &line) {
  for (int tries = 1;; ++tries) {
    std::string writable = line;  // CreateProcess may change it
    STARTUPINFOA start{};
    start.cb = sizeof start;
    PROCESS_INFORMATION child{};
    if (CreateProcessA(nullptr, writable.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &start, &child))
      return child;
    const std::string what = "no child can be started: system error " + std::to_string(GetLastError());
    if (tries == 3) stop(what.c_str());
    std::fprintf(stderr, "%s; trying again\n", what.c_str());
    Sleep(500);
  }
}

int leave(const char *program, int times) {
  for (int i = 0; i < times; ++i) {
    const PROCESS_INFORMATION child = start_child(std::string("\"") + program + "\" child " + std::to_string(i));
    if (WaitForSingleObject(child.hProcess, 60000) != WAIT_OBJECT_0) {
      TerminateProcess(child.hProcess, 1);
      stop("exit hangs");
    }
    DWORD status = 1;
    GetExitCodeProcess(child.hProcess, &status);
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    if (status != 0) stop(("exit ended with status " + std::to_string(status)).c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const int number = std::atoi(argv[2]);
  if (!std::strcmp(argv[1], "reload")) return reload(number);
  if (!std::strcmp(argv[1], "child")) leave_while_generating(number);
  if (!std::strcmp(argv[1], "exit")) {
    char program[MAX_PATH + 1] = {};
    GetModuleFileNameA(nullptr, program, MAX_PATH);
    return leave(program, number);
  }
  return 2;
}
