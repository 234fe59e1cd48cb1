#!/usr/bin/env bash
# Holds the simulator against a real cluster: runs a plan on real nodes, measures how long their datagrams took, runs the same plan in
# virtual time with these times, and compares the two.
#
#   experiments/reality.sh [PLAN …] [--backend local|netns|docker] [--out DIR] [--after-events TIME]
#
# The latencies are those of datagrams that were sent within TIME after an event's start (1s, or 30ms for eager plans, which is how long
# events spread). As root the real nodes run with real-time priority (chrt -f 1), so that other work on the machine does not count.
# PLAN is a file or the name of one in experiments/plans (default: reality and reality-eager). Of each plan the folder
# DIR/PLAN-reality then holds `real`, `sim` and `sim-other-seed` (links to the results), latency.toml, and the comparisons: `comparison`,
# and `comparison-of-two-simulations`, which shows what chance and another cluster of the same kind do.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(dirname -- "$here")
backend=local
out=$here/results
after=''
plans=()
# Other work on the machine makes the nodes wait, all of them at the same times, which no table of latencies can say.
priority=()
if [ "$(id -u)" = 0 ] && chrt -f 1 true 2>/dev/null; then
    priority=(chrt -f 1)
fi

fail() {
    printf 'reality.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        --backend | --out | --after-events)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in --backend) backend=$2 ;; --out) out=$2 ;; *) after=$2 ;; esac
            shift ;;
        -*) fail "unknown option $1" ;;
        *) plans+=("$1") ;;
    esac
    shift
done
[ ${#plans[@]} -gt 0 ] || plans=(reality reality-eager)

host=$(rustc -vV | sed -n 's/^host: //p')
bin=${CARGO_TARGET_DIR:-$root/target}/$host/release
static=()
[ "$backend" != docker ] || static=(-C target-feature=+crt-static)
RUSTFLAGS="${RUSTFLAGS:-} ${static[*]-}" cargo build --manifest-path "$root/Cargo.toml" --release --target "$host" \
    -p gossip-node -p master -p analysis -p gossip-sim --bins >&2
if commit=$(git -C "$root" rev-parse HEAD 2>/dev/null); then
    HEARSAY_COMMIT=$commit
    HEARSAY_DIRTY=$([ -z "$(git -C "$root" status --porcelain)" ] && echo false || echo true)
    export HEARSAY_COMMIT HEARSAY_DIRTY
fi

for plan in "${plans[@]}"; do
    [ -f "$plan" ] || plan=$here/plans/$plan.toml
    [ -f "$plan" ] || fail "there is no plan $plan"
    # The table is put behind the plan's own text, where a second one would be an error in a line that nobody wrote.
    ! grep -q '^\[network' "$plan" || fail "$plan has a [network] already: it is what is to be measured"
    name=$(basename -- "$plan" .toml)
    folder=$out/$name-reality-$(date -u +%Y%m%d-%H%M%S)
    mkdir -p -- "$folder"
    span=$after
    [ -n "$span" ] || case $name in *eager*) span=30ms ;; *) span=1s ;; esac
    ${priority[@]+"${priority[@]}"} "$bin/gossip-master" run "$plan" --backend "$backend" --out "$folder/results" --record-inputs
    ln -s "results/$(readlink -- "$folder/results/latest")" "$folder/real"
    "$bin/gossip-sim" latency "$folder/real" --after-events "$span" --out "$folder/latency.toml" | tee "$folder/latency.txt"
    { cat -- "$plan"; echo; cat -- "$folder/latency.toml"; } >"$folder/plan-with-latency.toml"
    "$bin/gossip-sim" run "$folder/plan-with-latency.toml" --out "$folder/results"
    ln -s "results/$(readlink -- "$folder/results/latest")" "$folder/sim"
    "$bin/gossip-analysis" compare "$folder/real" "$folder/sim" --out "$folder/comparison"
    "$bin/gossip-sim" run "$folder/plan-with-latency.toml" --seed 2 --out "$folder/results-other-seed"
    ln -s "results-other-seed/$(readlink -- "$folder/results-other-seed/latest")" "$folder/sim-other-seed"
    "$bin/gossip-analysis" compare "$folder/sim" "$folder/sim-other-seed" --out "$folder/comparison-of-two-simulations"
    echo "reality: $folder"
done
