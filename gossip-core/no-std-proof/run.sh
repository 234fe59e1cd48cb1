#!/usr/bin/env bash
# Links and runs gossip-core without std (x86_64 Linux). Prints one line; fails when it does not link or the event got lost.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/../../target}/no-std-proof
for features in '' keyring; do
    RUSTFLAGS='-C link-arg=-nostartfiles -C link-arg=-nostdlib -C link-arg=-static -C target-feature=+crt-static -C relocation-model=static' \
        CARGO_TARGET_DIR=$target cargo build --quiet --target x86_64-unknown-linux-gnu --features "$features"
    "$target/x86_64-unknown-linux-gnu/debug/no-std-proof"
    echo "no_std proof: gossip-core${features:+ with $features} links and runs without std"
done
