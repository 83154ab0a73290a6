// Runs a fuzz target without libFuzzer: on every seed as it is, cut at every length up to a limit, and with random
// damage.
//   replay SEED_FILE_OR_FOLDER...     DS_TEST_FULL=1 in the environment: 20 times as much damage
// Deterministic: the damage depends on the seed's bytes alone, so a failure comes again. The target's process ends with
// it (a sanitizer report, a signal); the input being run is then in the file "last_input" in the current folder.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

uint64_t n_inputs = 0;

void run(const Bytes &input) {
  std::ofstream("last_input", std::ios::binary)
      .write(reinterpret_cast<const char *>(input.data()), static_cast<std::streamsize>(input.size()));
  // A copy of exact size on the heap, so that a sanitizer sees a read beyond the end; never a null pointer.
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[std::max<size_t>(input.size(), 1)]);
  std::copy(input.begin(), input.end(), exact.get());
  LLVMFuzzerTestOneInput(exact.get(), input.size());
  ++n_inputs;
}

// One to eight small wounds: a bit, a byte, an extreme number, bytes cut out or doubled.
Bytes damaged(Bytes input, std::mt19937_64 &random) {
  constexpr uint64_t kExtremes[] = {0, 1, 0x7f, 0xff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX, uint64_t{1} << 40};
  for (uint64_t wounds = 1 + random() % 8; wounds > 0 && !input.empty(); --wounds) {
    const size_t at = random() % input.size();
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    const size_t length = std::min<size_t>(1 + random() % 16, input.size() - at);
    switch (random() % 5) {
      case 0:
        input[at] ^= static_cast<uint8_t>(1u << random() % 8);
        break;
      case 1:
        input[at] = static_cast<uint8_t>(random());
        break;
      case 2: {
        const uint64_t extreme = kExtremes[random() % std::size(kExtremes)];
        for (size_t i = 0; i < std::min<size_t>(8, input.size() - at); ++i)
          input[at + i] = static_cast<uint8_t>(extreme >> 8 * i);
        break;
      }
      case 3:
        input.erase(here, here + static_cast<std::ptrdiff_t>(length));
        break;
      default: {
        const Bytes piece(here, here + static_cast<std::ptrdiff_t>(length));
        input.insert(here, piece.begin(), piece.end());
      }
    }
  }
  return input;
}

void run_around(const Bytes &seed, uint64_t n_damaged) {
  run(seed);
  const size_t cuts = std::min<size_t>(seed.size(), 2000);
  for (size_t i = 0; i < cuts; ++i)
    run(Bytes(seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(seed.size() * i / cuts)));
  uint64_t hash = 14695981039346656037u;
  for (const uint8_t byte : seed) hash = (hash ^ byte) * 1099511628211u;
  std::mt19937_64 random(hash);
  for (uint64_t i = 0; i < n_damaged; ++i) run(damaged(seed, random));
}

}  // namespace

int main(int argc, char **argv) {
  const char *full = std::getenv("DS_TEST_FULL");
  const uint64_t n_damaged = full && *full ? 40000 : 2000;
  std::vector<std::filesystem::path> seeds;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto &entry : std::filesystem::directory_iterator(argv[i])) seeds.push_back(entry.path());
    } else {
      seeds.emplace_back(argv[i]);
    }
  }
  std::sort(seeds.begin(), seeds.end());
  for (const std::filesystem::path &path : seeds) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::fprintf(stderr, "cannot read %s\n", path.c_str()), 1;
    run_around({std::istreambuf_iterator<char>(file), {}}, n_damaged);
  }
  std::filesystem::remove("last_input");
  std::printf("%zu seeds, %llu inputs\n", seeds.size(), static_cast<unsigned long long>(n_inputs));
  return seeds.empty() ? 1 : 0;  // no seeds: nothing was tested
}
