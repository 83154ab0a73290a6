// A small host program's view of the library, for the tests of this folder: public headers only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "deepseam/deepseam.h"

namespace hostile {

// Everything a test needs open at once. Members that are NULL are not open.
struct Host {
  ds_runtime *runtime = nullptr;
  ds_model *model = nullptr;
  ds_session *session = nullptr;
};

ds_runtime_options runtime_options();
ds_error fresh_error();

// Throws std::runtime_error with the library's sentence if `status` is not DS_OK.
void require(ds_status status, const ds_error &error);

// Opens a model on the backend, deterministic. NULL options: runtime_options().
Host open_host(const ds_runtime_options *options = nullptr, const char *backend = "ref", const char *path = ABI_MODEL);
// Shuts down and releases all.
void close_host(Host &host);

ds_text_input text_input(const char *text);
ds_params params(uint32_t max_tokens);
// Ids of a greedy generation.
std::vector<uint32_t> generate(ds_session *session, const char *prompt, uint32_t n);
// What generate() gives on a well-behaved host, computed once per process.
const std::vector<uint32_t> &expected();
inline constexpr const char *kPrompt = "int main(void) {";
inline constexpr uint32_t kTokens = 12;

// A job that runs until it is cancelled, or nearly.
ds_job *start_long_job(const Host &host);
void wait_until_running(ds_job *job);

}  // namespace hostile
