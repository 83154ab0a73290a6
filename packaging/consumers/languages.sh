#!/usr/bin/env bash
# Programs in other languages against an installation, each built outside of the tree from what its language's package would
# hold: languages.sh SOURCE BUILD PREFIX SCRATCH. What 01_hello says is compared with SCRATCH/hello.txt, what it says in C.
set -eu
source=$1 build=$2 prefix=$3 scratch=$4
libdir=$(dirname "$(find "$prefix" -name 'libdeepseam.so.[0-9]*' | head -n 1)")
export PKG_CONFIG_PATH=$libdir/pkgconfig

same() {
  cmp "$scratch/hello.txt" "$scratch/$1.txt" && echo "$1: says the same"
}

csharp() {
  command -v mcs >/dev/null && command -v mono >/dev/null || { echo "csharp: left out, mono is not installed" && return; }
  local assemblies=$scratch/assemblies package=$scratch/nuget native
  python3 -B "$source/bindings/csharp/run.py" build mono --build "$build" --out "$assemblies"
  python3 -B "$source/packaging/nuget/pack.py" "$prefix" "$assemblies" "$scratch"
  python3 -m zipfile -e "$scratch"/Deepseam.*.nupkg "$package"
  native=$package/runtimes/linux-x64/native
  mcs -langversion:7.2 -r:"$package/lib/netstandard2.0/Deepseam.dll" -out:"$package/lib/netstandard2.0/hello.exe" \
    "$source/samples/csharp/01_hello.cs"
  LD_LIBRARY_PATH=$native mono "$package/lib/netstandard2.0/hello.exe" >"$scratch/csharp.txt" && same csharp
}

rust() {
  command -v cargo >/dev/null || { echo "rust: left out, cargo is not installed" && return; }
  mkdir -p "$scratch/rust/samples" "$scratch/rust/bindings"
  cp -r "$source/samples/rust" "$scratch/rust/samples/"
  cp -r "$source/bindings/rust" "$source/bindings/abi.json" "$scratch/rust/bindings/"
  cargo build --quiet --offline --bins --manifest-path "$scratch/rust/samples/rust/Cargo.toml" \
    --target-dir "$scratch/rust/target"
  LD_LIBRARY_PATH=$libdir "$scratch/rust/target/debug/01_hello" >"$scratch/rust.txt" && same rust
}

go_module() {
  command -v go >/dev/null || { echo "go: left out, go is not installed" && return; }
  mkdir -p "$scratch/go/samples" "$scratch/go/bindings"
  cp -r "$source/samples/go" "$scratch/go/samples/"
  cp -r "$source/bindings/go" "$scratch/go/bindings/"
  # cgo of Go 1.19 splits what pkg-config says of libraries at every blank, escaped or not; a link has none in its name.
  ln -sfn "$prefix" "$scratch/go/prefix"
  (
    export PKG_CONFIG_PATH="$scratch/go/prefix/${libdir#"$prefix"/}/pkgconfig"
    export GOPROXY=off GOFLAGS=-mod=mod GOTOOLCHAIN=local GOCACHE="$scratch/go/cache"
    cd "$scratch/go/samples/go" && go build -o "$scratch/go/hello" ./01_hello
  )
  LD_LIBRARY_PATH=$libdir "$scratch/go/hello" >"$scratch/go.txt" && same go
}

csharp
rust
go_module
