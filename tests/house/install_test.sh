#!/usr/bin/env bash
# Installs a build, moves the prefix, and uses it from there: by pkg-config, by CMake, from the other languages, and by the
# installed ds. Languages whose tools are not there are left out, which is said.
#   install_test.sh SOURCE BUILD SCRATCH
# The prefix has a blank in its name, because users' folders do.
set -eu
source=$1 build=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cmake --install "$build" --prefix "$scratch/first" >"$scratch/install.log"
mv "$scratch/first" "$scratch/moved prefix"
prefix="$scratch/moved prefix"
libdir=$(dirname "$(find "$prefix" -name 'libdeepseam.so.[0-9]*' | head -n 1)")

echo "no installed file knows where it was built"
if grep -rlF -e "$source" -e "$build" -e "$scratch/first" "$prefix"; then
  echo "the files above hold a path of this machine"
  exit 1
fi

echo "pkg-config"
export PKG_CONFIG_PATH=$libdir/pkgconfig
eval "cc -std=c99 -Wall -Wextra -pedantic -Werror -o '$scratch/hello' '$source/samples/c/01_hello.c' \
  $(pkg-config --cflags --libs deepseam)"
LD_LIBRARY_PATH=$libdir "$scratch/hello" </dev/null | tee "$scratch/hello.txt"

echo "the first steps of a new user"
"$source/cmake/tools/first_steps.sh" "$prefix" "$scratch" | tee "$scratch/first_steps.txt"
grep -q "^   > max = " "$scratch/first_steps.txt"
grep -q "wrote: " "$scratch/first_steps.txt"

echo "the model inside a program, without its file"
eval "cc -std=c99 -Wall -Wextra -pedantic -Werror -o '$scratch/inside' '$source/samples/c/08_model_inside.c' \
  $(pkg-config --cflags --libs deepseam-embedded)"
mv "$libdir/deepseam/embedded.dsm" "$scratch/embedded.dsm"
LD_LIBRARY_PATH=$libdir "$scratch/inside" </dev/null
if LD_LIBRARY_PATH=$libdir "$scratch/hello" </dev/null 2>"$scratch/missing.txt" ||
  ! grep -q "the embedded model is not installed" "$scratch/missing.txt"; then
  echo "without its file the model named embedded is not reported as missing:"
  cat "$scratch/missing.txt"
  exit 1
fi
mv "$scratch/embedded.dsm" "$libdir/deepseam/embedded.dsm"

echo "the static library, which shows nothing but the API"
strange=$(nm -g --defined-only "$libdir/libdeepseam.a" 2>/dev/null | awk 'NF == 3 && $3 !~ /^ds_/ {print $3}')
[ -z "$strange" ] || { echo "libdeepseam.a shows $strange" && exit 1; }
# With a function of PCRE2 of its own, as a program has that links another version.
cat >"$scratch/clash.c" <<'END'
#include <stdlib.h>
void *pcre2_match_8(void);
void *pcre2_match_8(void) { abort(); }
END
eval "cc -std=c99 -DDS_STATIC -o '$scratch/static' '$source/packaging/consumers/static.c' '$scratch/clash.c' \
  $(pkg-config --cflags deepseam) '$libdir/libdeepseam.a' -lstdc++ -lm -ldl -lpthread"
"$scratch/static" "$libdir/deepseam" >"$scratch/static.txt"
cmp "$scratch/static.txt" "$scratch/hello.txt"

echo "CMake"
export CMAKE_PREFIX_PATH=$prefix
cmake -S "$source/packaging/consumers/cmake" -B "$scratch/consumer" -DSAMPLES="$source/samples/c" >"$scratch/consumer.log"
cmake --build "$scratch/consumer" >>"$scratch/consumer.log"
"$scratch/consumer/hello" </dev/null
"$scratch/consumer/inside" </dev/null
"$scratch/consumer/static" "$libdir/deepseam" </dev/null | cmp - "$scratch/hello.txt"
echo "CMake, as the guide for programs that embed the library says"
mkdir "$scratch/guide"
{
  echo "cmake_minimum_required(VERSION 3.25)"
  echo "project(guide C)"
  echo "add_executable(your_program \"$source/samples/c/01_hello.c\")"
  python3 -B "$source/tests/e2e/guide_test.py" --cmake
} >"$scratch/guide/CMakeLists.txt"
cmake -S "$scratch/guide" -B "$scratch/guide/build" >"$scratch/guide.log"
cmake --build "$scratch/guide/build" >>"$scratch/guide.log"
"$scratch/guide/build/your_program" </dev/null | cmp - "$scratch/hello.txt"
# refuses WHAT SENTENCE: asking for the component fails with that sentence.
refuses() {
  rm -rf "$scratch/refused"
  if cmake -S "$source/packaging/consumers/cmake" -B "$scratch/refused" -DSAMPLES="$source/samples/c" -DEXTRA="$1" \
    >"$scratch/refused.log" 2>&1 || ! tr -s ' \n' ' ' <"$scratch/refused.log" | grep -qF "$2"; then
    echo "the component $1 is not refused with \"$2\":"
    cat "$scratch/refused.log"
    exit 1
  fi
}
refuses cuda "The component cuda of deepseam is not installed in"
refuses spoon "deepseam has no component spoon, but embedded, static, onednn, ref, cuda, hip."
unset CMAKE_PREFIX_PATH

echo "other languages"
bash "$source/packaging/consumers/languages.sh" "$source" "$build" "$prefix" "$scratch"

echo "the installed command and its embedded model"
env -i "$prefix/bin/ds" plugins
env -i "$prefix/bin/ds" generate --model embedded --prompt "int main(void) {" -n 8 --quiet
