#!/usr/bin/env bash
# Fuzzes a target of gossip-core on stable Rust, without cargo-fuzz: run.sh TARGET|all [SECONDS] [libFuzzer options].
# Starts from the committed corpus and from what earlier runs found. Ends with 0 when nothing was found; what was found lies in
# the folder that it names. `run.sh minimise TARGET` makes a small corpus of what earlier runs found, by edges reached alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
what=${1:?run.sh TARGET|all|minimise [SECONDS|TARGET]}
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")/fuzz
triple=$(rustc -vV | sed -n 's/^host: //p')
targets=$(cd fuzz_targets && ls ./*.rs | sed 's,./\(.*\).rs,\1,')

# The instrumentation that cargo-fuzz asks for, less the sanitizer, which stable Rust has not: there is no unsafe code to watch.
# With --target the flags do not apply to build scripts.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks" \
    CARGO_TARGET_DIR=$target_dir cargo build --release --locked --quiet --target "$triple"

fuzz() { # TARGET OPTIONS...
    local target=$1
    shift
    mkdir -p "$target_dir/corpus/$target" "$target_dir/artifacts/$target"
    "$target_dir/$triple/release/$target" "$@" -artifact_prefix="$target_dir/artifacts/$target/" \
        "$target_dir/corpus/$target" "corpus/$target"
}

case $what in
    minimise)
        target=${2:?which target}
        rm -rf "$target_dir/minimised"
        mkdir -p "$target_dir/minimised"
        "$target_dir/$triple/release/$target" -set_cover_merge=1 -use_counters=0 "$target_dir/minimised" "corpus/$target" "$target_dir/corpus/$target"
        du -bs "$target_dir/minimised"
        ;;
    *)
        seconds=${2:-60}
        [ "$what" = all ] || targets=$what
        for target in $targets; do
            echo "== $target for $seconds s"
            fuzz "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=2048 -len_control=20 -print_final_stats=1 "${@:3}"
        done
        ;;
esac
