# shellcheck shell=bash
# What ./check and ./quickstart share: packages, jobs, the build folder. Sourced; defines functions and two lists.

# say TEXT...: one line for the reader.
say() { printf '%s\n' "$*"; }

# The folder for everything that is built from the source tree $1. Never inside of it, unless DS_BUILD_DIR says so.
build_root() {
  if [ -n "${DS_BUILD_DIR:-}" ]; then
    printf '%s' "$DS_BUILD_DIR"
  else
    local cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}
    printf '%s/deepseam/%s' "$cache" "$(printf '%s' "$1" | cksum | cut -d' ' -f1)"
  fi
}

# Compile jobs that this machine has cores and memory for: 1.5 GiB each.
build_jobs() {
  local cores memory_kib
  cores=$(nproc 2>/dev/null || echo 1)
  memory_kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)
  local by_memory=$((${memory_kib:-3145728} / 1572864))
  [ "$by_memory" -lt 1 ] && by_memory=1
  [ "$by_memory" -lt "$cores" ] && cores=$by_memory
  printf '%s' "$cores"
}

# The packages of $@ that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s ' "$name"
  done
}

# as_root COMMAND...: runs it as root if that needs no question; 126 if it would.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 126
  fi
}

# quiet_apt COMMAND...: apt-get without questions. Waits up to 10 minutes for whoever holds one of its locks.
quiet_apt() {
  local log status end
  log=$(mktemp) end=$((SECONDS + 600))
  while :; do
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" >"$log" 2>&1
    status=$?
    if [ "$status" -eq 0 ] || ! grep -q 'Could not get lock' "$log" || [ "$SECONDS" -ge "$end" ]; then break; fi
    sleep 5
  done
  [ "$status" -eq 0 ] || tail -n 20 "$log" >&2
  rm -f "$log"
  return "$status"
}

# ensure_packages NAME...: installs what is missing. Without apt it trusts that the system has the tools by other means.
ensure_packages() {
  command -v dpkg-query >/dev/null || return 0
  local missing
  missing=$(missing_packages "$@")
  [ -z "$missing" ] && return 0
  say "installing: $missing"
  if ! as_root true; then
    say "These packages are missing, and installing them needs root. Run this line, then try again:"
    say "  sudo apt-get update && sudo apt-get install --no-install-recommends -y $missing"
    return 1
  fi
  # The package lists may be old or missing: look again only if the names are not known.
  # shellcheck disable=SC2086  # a list of names without blanks
  quiet_apt install --no-install-recommends -y $missing 2>/dev/null && return 0
  # shellcheck disable=SC2086
  quiet_apt update && quiet_apt install --no-install-recommends -y $missing
}

# ensure_python_packages PYTHON FOLDER NAME==VERSION...: installs for that Python, into a folder of its own, what is not there.
# Tools that no package of the distribution has; without the network it fails, and the tests that want them say so and skip.
ensure_python_packages() {
  local python=$1 folder=$2 wanted
  shift 2
  for wanted in "$@"; do
    [ -e "$folder/$wanted" ] && continue
    "$python" -m pip install --quiet --no-deps --disable-pip-version-check --target "$folder" --upgrade "$wanted" >/dev/null 2>&1 ||
      return 1
    : >"$folder/$wanted"
  done
}

# What building the library needs, what the tests need beside it, and what ./check full needs besides.
BUILD_PACKAGES="g++ cmake ninja-build pkg-config flatbuffers-compiler libflatbuffers-dev rapidjson-dev libpcre2-dev
  libxxhash-dev libcli11-dev libdnnl-dev"
CHECK_PACKAGES="$BUILD_PACKAGES abigail-tools binutils cargo ccache clang clang-format-14 doctest-dev
  g++-mingw-w64-x86-64-posix git golang-go libclang-rt-14-dev lld-14 llvm-14 mono-mcs mono-runtime python3 python3-jinja2 python3-numpy
  python3-pip rustc strace zstd"
FULL_PACKAGES="wine64"
