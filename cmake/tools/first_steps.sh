#!/usr/bin/env bash
# What ./quickstart shows of an installed deepseam: a completion, a middle filled in, and a small C program of one's own.
#   first_steps.sh PREFIX SCRATCH [NUMBER_OF_THE_FIRST_STEP]
# Needs a C compiler and pkg-config; ends with the status of the first thing that fails. The tests of the installation run
# it too, so that the first five minutes of a new user are tested.
set -euo pipefail
export LC_ALL=C.UTF-8
installed=$1 scratch=$2 step=${3:-1}
ds=$installed/bin/ds
say() { printf '%s\n' "$*"; }
show() { sed 's/^/   > /'; }

say "$step. Completing code with the embedded model"
say "   (It is small, a few hundredths of the smallest DeepSeek-Coder-V2, and ships so that there is something to try;"
say "   models/README.md is its card. For work bring a checkpoint.)"
code='def read_lines(path):
    """Return the lines of a text file without their line ends."""
'
printf '%s' "$code" | sed 's/^/   | /'
"$ds" generate --model embedded --prompt "$code" -n 48 --quiet --timings 2>&1 | show
say "   and filling in the middle of a C function:"
before='static int max_of(const int *values, int n) {
  int max = values[0];
  for (int i = 1; i < n; i++) {
    if (values[i] > max)
      '
after='
  }
  return max;
}
'
printf '%s...%s' "$before" "$after" | sed 's/^/   | /'
"$ds" fim --model embedded --prefix "$before" --suffix "$after" -n 48 --quiet --timings 2>&1 | show

say "$((step + 1)). A C program of 15 lines against the installed library, by pkg-config"
cat >"$scratch/first.c" <<'END'
#include <deepseam/deepseam.h>
#include <stdio.h>

int main(void) {
  ds_runtime_options options = {sizeof options, DS_ABI_VERSION};
  ds_source_path embedded = {{sizeof embedded, DS_SOURCE_PATH}, {"embedded", DS_STRLEN}};
  ds_model_options model_options = {sizeof model_options, 0, &embedded.head};
  ds_text_input input = {{sizeof input, DS_INPUT_TEXT}, {"int main(void) {", DS_STRLEN}};
  ds_params params = {sizeof params, .max_tokens = 16};
  ds_runtime *rt; ds_model *m; ds_session *s; ds_result *r; ds_text text; ds_error e = {sizeof e};
  if (ds_runtime_create(&options, &rt, &e) || ds_model_open(rt, &model_options, &m, &e) || ds_session_create(m, 0, &s, &e)
      || ds_generate(s, &input.head, &params, &r, &e) || ds_result_text(r, 0, &text, &e)) return puts(e.message), 1;
  printf("deepseam %s wrote: %.*s\n", ds_version_string(), (int)text.size, text.data);
  return ds_runtime_shutdown(rt, 0, NULL);
}
END
for folder in "$installed"/lib/pkgconfig "$installed"/lib/*/pkgconfig; do
  [ -f "$folder/deepseam.pc" ] && break
done
flags=$(PKG_CONFIG_PATH=$folder pkg-config --cflags --libs deepseam)
libraries=$(dirname "$folder")
eval "cc -std=c99 -o \"\$scratch/first\" \"\$scratch/first.c\" $flags \"-Wl,-rpath,\$libraries\""
"$scratch/first" | show
