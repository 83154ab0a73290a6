// Two copies of the library under other names, two runtimes in each, one plugin folder for all, in a program that links
// FlatBuffers and a oneDNN of its own. All of them work at once, and each gets what it gets alone.
//
// The host's oneDNN (other_onednn.py) shows the same names as the one that the plugin finds and ends the process when
// one is called that is not its caller's.
#include <flatbuffers/idl.h>

#include <atomic>
#include <cstring>
#include <latch>
#include <thread>

#include "hostile/guest.h"

using namespace hostile;

extern "C" {
extern int host_onednn_verbose_calls;
struct Version {
  int major, minor, patch;
};
const Version *dnnl_version(void);
int dnnl_sgemm(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
}

namespace {

constexpr int kRuns = 4;  // of each runtime

// What all generate from: enough rows for products of a whole block of them.
std::vector<uint32_t> generate(Guest &guest) {
  std::vector<uint32_t> prompt(300);
  for (uint32_t i = 0; i < prompt.size(); ++i) prompt[i] = i % 60 + 1;
  ds_tokens_input input{};
  input.head.struct_size = sizeof input;
  input.head.tag = DS_INPUT_TOKENS;
  input.ids = prompt.data();
  input.n_ids = prompt.size();
  ds_params parameters = guest.params(6);
  parameters.flags |= DS_GEN_NO_REUSE;
  return guest.generate(&input.head, parameters);
}

void use_flatbuffers() {
  flatbuffers::Parser parser;
  if (!parser.Parse("table Part { name: string; weights: [float]; } root_type Part;") ||
      !parser.Parse("{ name: \"bolt\", weights: [ 0.5, 1.25 ] }"))
    stop("the host's FlatBuffers does not parse");
  std::string text;
  if (!flatbuffers::GenerateText(parser, parser.builder_.GetBufferPointer(), &text) || text.find("bolt") == text.npos ||
      text.find("1.25") == text.npos)
    stop("the host's FlatBuffers does not read what it wrote");
}

void use_onednn() {
  const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, expected[] = {19, 22, 43, 50};
  float c[4] = {};
  if (dnnl_version()->major != 9) stop("the host calls another oneDNN than its own");
  if (dnnl_sgemm('N', 'N', 2, 2, 2, 1, a, 2, b, 2, 0, c, 2) || std::memcmp(c, expected, sizeof c) != 0)
    stop("the host's oneDNN multiplies wrongly");
}

}  // namespace

int main() {
  Guest alone(REAL_LIBRARY);
  alone.open("ref");
  const std::vector<uint32_t> expected = generate(alone);
  alone.close();
  if (expected.size() != 6) stop("nothing was generated");

  const std::string paths[] = {copy_of_library("libone.so"), copy_of_library("libtwo.so")};
  std::vector<Guest> guests;
  guests.reserve(4);
  for (const std::string &path : paths)
    for (const char *backend : {"ref", "onednn"}) guests.emplace_back(path.c_str()).open(backend, 0, 0);
  if (guests[0].library.api.generate != guests[1].library.api.generate) stop("one path gave two libraries");
  if (guests[0].library.api.generate == guests[2].library.api.generate) stop("both copies are one library");

  std::latch all_here(6);
  std::atomic<int> running{4}, wrong{0};
  std::vector<std::thread> threads;
  for (Guest &guest : guests)
    threads.emplace_back([&] {
      all_here.arrive_and_wait();
      for (int i = 0; i < kRuns; ++i) wrong += generate(guest) != expected;
      --running;
    });
  for (void (*work)() : {use_flatbuffers, use_onednn})
    threads.emplace_back([&, work] {
      all_here.arrive_and_wait();
      do work();
      while (running);
    });
  for (std::thread &thread : threads) thread.join();
  if (wrong) stop("other tokens beside the neighbours than alone");
  if (host_onednn_verbose_calls) stop("settings of the host's oneDNN were changed");

  for (Guest &guest : guests) guest.end();
  for (Guest &guest : guests) guest.close_library();
  for (const std::string &path : paths) remove_copy(path);
  return 0;
}
