#!/usr/bin/env bash
# Makes the packages of a build, and uses what is in them from a folder with a blank in its name:
#   package_test.sh BUILD SCRATCH
set -eu
build=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch"
command -v dpkg-deb >/dev/null || { echo "dpkg-deb is not here: no packages are made" && exit 77; }
(cd "$build" && cpack -G "DEB;TZST" -B "$scratch" >"$scratch/cpack.log") || { cat "$scratch/cpack.log" && exit 1; }

# holds PACKAGE PATTERN...: the files of a Debian package are those that fit one of the patterns, each of which some fit.
holds() {
  local package=$1 file pattern files
  file=$(find "$scratch" -maxdepth 1 -name "${package}_*.deb")
  shift
  files=$(dpkg-deb --fsys-tarfile "$file" | tar -t | grep -v '/$' | sed 's,^\./,,')
  for pattern in "$@"; do
    printf '%s\n' "$files" | grep -qE "^$pattern$" || { echo "$package: holds no $pattern" && exit 1; }
  done
  files=$(printf '%s\n' "$files" | grep -vxE "$(printf '%s|' "$@" | sed 's/|$//')" || :)
  [ -z "$files" ] || { echo "$package: nobody expected $files" && exit 1; }
  dpkg-deb -x "$file" "$scratch/moved root"
  echo "$package: $(dpkg-deb -f "$file" Version Depends | tr '\n' ' ')"
}
abi=$(sed -n 's/^#define DS_ABI_MAJOR //p' "$(dirname "$0")/../../include/deepseam/version.h")
lib='usr/lib(/[^/]*-linux-gnu)?'
holds "libdeepseam$abi" "$lib/libdeepseam(-embedded)?\.so\.$abi(\.[0-9.]+)?" 'usr/share/doc/.*/LICENSE' \
  'usr/share/doc/.*/third-party/rapidjson\.txt' 'usr/share/doc/.*/third-party/lib(cli11|flatbuffers|pcre2|xxhash)\.txt'
holds libdeepseam-dev 'usr/include/deepseam/[a-z]+\.(h|def)' "$lib/libdeepseam(-embedded)?\.so" "$lib/libdeepseam\.a" \
  "$lib/pkgconfig/.*\.pc" "$lib/cmake/deepseam/.*\.cmake"
holds deepseam-plugins "$lib/deepseam/[0-9]+/deepseam-ref\.(so|dsplugin)" "$lib/deepseam/[0-9]+/deepseam-[a-z]+\.(so|dsplugin)" \
  "$lib/deepseam/embedded\.dsm"
holds deepseam 'usr/bin/ds'
dpkg-deb --ctrl-tarfile "$scratch/libdeepseam${abi}"_*.deb | tar -xO ./triggers | grep -q ldconfig

echo "the command from the Debian packages"
env -i "$scratch/moved root/usr/bin/ds" generate --model embedded --prompt "int main(void) {" -n 8 --quiet

echo "the command from the archive"
mkdir "$scratch/un packed"
zstd -dcq "$scratch"/deepseam-*.tar.zst | tar -x -C "$scratch/un packed" --strip-components=1
env -i "$scratch/un packed/bin/ds" generate --model embedded --prompt "int main(void) {" -n 8 --quiet
[ -f "$scratch/un packed/include/deepseam/deepseam.h" ]
