#!/usr/bin/env bash
# Installs a build, moves the prefix, and uses it from there: by pkg-config, by CMake, and by the installed ds.
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
LD_LIBRARY_PATH=$libdir "$scratch/hello" </dev/null

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

echo "CMake"
mkdir "$scratch/consumer"
cat >"$scratch/consumer/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(deepseam 0.1 REQUIRED COMPONENTS embedded)
add_executable(hello "${SAMPLES}/01_hello.c")
target_link_libraries(hello PRIVATE deepseam::deepseam)
add_executable(inside "${SAMPLES}/08_model_inside.c")
target_link_libraries(inside PRIVATE deepseam::deepseam deepseam::embedded)
END
cmake -S "$scratch/consumer" -B "$scratch/consumer/build" -DCMAKE_PREFIX_PATH="$prefix" \
  -DSAMPLES="$source/samples/c" >"$scratch/consumer.log"
cmake --build "$scratch/consumer/build" >>"$scratch/consumer.log"
"$scratch/consumer/build/hello" </dev/null
"$scratch/consumer/build/inside" </dev/null

echo "the installed command and its embedded model"
env -i "$prefix/bin/ds" plugins
env -i "$prefix/bin/ds" generate --model embedded --prompt "int main(void) {" -n 8 --quiet
