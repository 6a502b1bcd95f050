#!/bin/sh
# Makes bindings.c and bindings.h anew from the contract; with --check it says whether they differ and changes nothing.
set -eu

version=0.63.0
here=$(cd "$(dirname "$0")" && pwd)
wit=$here/../../../wit

case $(wit-bindgen --version 2>/dev/null || true) in
*" $version") ;;
*)
    echo "wit-bindgen $version is wanted: cargo install wit-bindgen-cli --version $version --locked" >&2
    exit 2
    ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/wit/deps/hostel-handler"
cp -r "$wit/deps/." "$folder/wit/deps"
cp "$wit/handler.wit" "$folder/wit/deps/hostel-handler"
cp "$here/bindings.wit" "$folder/wit"
wit-bindgen c "$folder/wit" --world bindings --no-object-file --out-dir "$folder/out" >/dev/null

if [ "${1:-}" = --check ]; then
    diff -r -q -x '*.wit' -x '*.sh' "$folder/out" "$here"
else
    cp "$folder/out/bindings.c" "$folder/out/bindings.h" "$here"
fi
