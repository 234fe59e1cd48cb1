#!/usr/bin/env bash
# Plants each bug of bugs.txt in a scratch copy of the tree and runs seeds until a checker catches it; prints the table of
# docs/chaos.md. One build: the patch holds all bugs, the environment says which. Nothing of it is in gossip-core.
#
#   gossip-sim/tests/planted/run.sh [SEEDS] [NUMBER …]     # 0..1000 and all bugs if not given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
seeds=${1:-0..1000}
wanted=" ${*:2} "
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git archive HEAD | tar -x -C "$scratch"
patch=$PWD/gossip-sim/tests/planted/bugs.patch
bugs=$PWD/gossip-sim/tests/planted/bugs.txt
target=${CARGO_TARGET_DIR:-$PWD/target}/planted
(cd "$scratch" && patch --quiet -p1 <"$patch")
cargo build --release --quiet --locked -p gossip-sim --manifest-path "$scratch/Cargo.toml" --target-dir "$target"
echo "| bug | caught by | seed | seeds it took |"
echo "|---|---|---|---|"
missed=0
while read -r number what; do
    [ "$wanted" = "  " ] || [[ $wanted == *" $number "* ]] || continue
    out=$(PLANTED=$number timeout 600 "$target/release/gossip-sim" seeds "$seeds" 2>/dev/null) || true
    line=$(grep -m1 FAILED <<<"$out" || true)
    if [ -z "$line" ]; then
        echo "| $what | **nobody** | | ${seeds} |"
        missed=$((missed + 1))
        continue
    fi
    seed=$(sed -E 's/seed ([0-9]+) .*/\1/' <<<"$line")
    checker=$(sed -E 's/.*FAILED: ([a-z]+).*/\1/' <<<"$line")
    echo "| $what | $checker | $seed | $((seed - ${seeds%%..*} + 1)) |"
done <"$bugs"
[ "$missed" = 0 ]
