#!/usr/bin/env bash
# What a build for Windows needs of third parties: cmake/tools/windows_deps.sh FOLDER [fetch]
#
# RapidJSON, FlatBuffers, xxHash, CLI11 and doctest are headers, the same for every system: FOLDER/include links to those of
# this machine. PCRE2 is compiled for Windows from the distribution's source package, which apt fetches and verifies; what is
# there is not made again, so a second run needs no network. Nothing is written outside of FOLDER. With "fetch" it does what
# needs the network, and no more.
set -eu
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ $# = 1 ] || [ "$# ${2:-}" = "2 fetch" ] || { echo "usage: windows_deps.sh FOLDER [fetch]" >&2 && exit 2; }
mkdir -p "$1/include"
folder=$(cd "$1" && pwd)

for name in rapidjson flatbuffers CLI doctest xxhash.h; do
  for place in /usr/include /usr/local/include; do
    [ -e "$place/$name" ] && ln -sfn "$place/$name" "$folder/include/$name" && break
  done
done

# fetch_pcre2: the source archive into FOLDER/source, from the first of apt's places that still has it. The lists of apt are
# read and written in FOLDER, so that the machine's own settings stay as they are.
fetch_pcre2() {
  local uri suite component apt
  mkdir -p "$folder/source" "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
  apt=(apt-get -q -o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache")
  [ "$(id -u)" = 0 ] && apt+=(-o APT::Sandbox::User=root)
  while read -r uri suite component; do
    echo "deb-src $uri $suite $component" >"$folder/apt/sources.list"
    "${apt[@]}" update && (cd "$folder/source" && "${apt[@]}" source --tar-only pcre2) && return
  done < <(apt-cache policy libpcre2-8-0 | sed -n 's/^ *[0-9]* \([^ ]*:[^ ]*\) \([^ /]*\)\/\([^ ]*\) [^ ]* Packages$/\1 \2 \3/p')
  echo "windows_deps.sh: the source package pcre2 cannot be fetched from the places that apt knows" >&2
  return 1
}

if [ ! -f "$folder/lib/libpcre2-8.a" ]; then
  ls "$folder"/source/pcre2_*.orig.tar.* >/dev/null 2>&1 || fetch_pcre2
  [ $# = 1 ] || exit 0
  rm -rf "$folder/source/pcre2" "$folder/source/build"
  mkdir "$folder/source/pcre2"
  tar -xf "$folder"/source/pcre2_*.orig.tar.* -C "$folder/source/pcre2" --strip-components=1
  cmake -S "$folder/source/pcre2" -B "$folder/source/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_TOOLCHAIN_FILE="$here/cmake/mingw-w64-x86_64.cmake" -DBUILD_SHARED_LIBS=OFF -DPCRE2_SUPPORT_JIT=ON \
    -DPCRE2_BUILD_TESTS=OFF -DPCRE2_BUILD_PCRE2GREP=OFF -Wno-dev
  cmake --build "$folder/source/build" --target pcre2-8-static
  mkdir -p "$folder/lib"
  cp "$folder/source/build/pcre2.h" "$folder/include/pcre2.h"
  cp "$folder"/source/build/libpcre2-8*.a "$folder/lib/libpcre2-8.a"
  rm -rf "$folder/source/build" "$folder/source/pcre2"
fi
