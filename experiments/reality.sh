#!/usr/bin/env bash
# Holds the simulator against a real cluster: runs a plan on real nodes, measures how long their datagrams took, runs the same plan in
# virtual time with these times, and compares the two. Both are repeated with other seeds: clusters of one kind differ from each other,
# by their phases above all, and the comparison has to know by how much.
#
#   experiments/reality.sh [PLAN …] [--backend local|netns|docker] [--out DIR] [--real N] [--sims N] [--after-events TIME]
#
# N real clusters (3 if not given) are held against N simulated ones (20). The latencies are those of datagrams of the first real
# cluster that were sent within TIME after an event's start (1s, or 30ms for eager plans, which is how long events spread). As root the
# real nodes run with real-time priority (chrt -f 1), so that other work on the machine does not count.
# PLAN is a file or the name of one in experiments/plans (default: reality and reality-eager). Of each plan the folder
# DIR/PLAN-reality-TIME then holds `real-1` … and `sim-1` … (links to the results), latency.toml, and the comparisons: `comparison`, and
# `comparison-of-simulations`, one half of them against the other, which shows what chance and another cluster of the same kind do.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(dirname -- "$here")
backend=local
out=$here/results
after=''
real=3
sims=20
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
        -h | --help) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        --backend | --out | --after-events | --real | --sims)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in --backend) backend=$2 ;; --out) out=$2 ;; --real) real=$2 ;; --sims) sims=$2 ;; *) after=$2 ;; esac
            shift ;;
        -*) fail "unknown option $1" ;;
        *) plans+=("$1") ;;
    esac
    shift
done
[ ${#plans[@]} -gt 0 ] || plans=(reality reality-eager)
case $real$sims in *[!0-9]*) fail "--real and --sims take numbers" ;; esac
[ "$real" -ge 1 ] && [ "$sims" -ge 2 ] || fail "it takes a real cluster and two simulated ones at least"

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

# Gives the newest result a name: keep SIDE NUMBER.
keep() {
    ln -s "results/$(readlink -- "$folder/results/latest")" "$folder/$1-$2"
}

# Writes the comparison NAME of two sides, each SIDE FROM TO.
compare() {
    local first=() beside=() second=() k
    for ((k = $3; k <= $4; k++)); do first+=("$folder/$2-$k"); done
    for k in "${first[@]:1}"; do beside+=(--beside "$k"); done
    for ((k = $6; k <= $7; k++)); do second+=("$folder/$5-$k"); done
    "$bin/gossip-analysis" compare "${first[0]}" "${second[@]}" ${beside[@]+"${beside[@]}"} --out "$folder/$1" | tee "$folder/$1.txt"
}

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
    # Seeds differ from each other, and from those of the other side: a plan and a seed choose the same origins on both.
    for ((k = 1; k <= real; k++)); do
        ${priority[@]+"${priority[@]}"} "$bin/gossip-master" run "$plan" --backend "$backend" --seed "$k" --out "$folder/results" \
            --record-inputs
        keep real "$k"
    done
    "$bin/gossip-sim" latency "$folder/real-1" --after-events "$span" --out "$folder/latency.toml" | tee "$folder/latency.txt"
    { cat -- "$plan"; echo; cat -- "$folder/latency.toml"; } >"$folder/plan-with-latency.toml"
    for ((k = 1; k <= sims; k++)); do
        "$bin/gossip-sim" run "$folder/plan-with-latency.toml" --seed $((1000 + k)) --out "$folder/results"
        keep sim "$k"
    done
    compare comparison real 1 "$real" sim 1 "$sims"
    half=$((sims / 2))
    compare comparison-of-simulations sim 1 "$half" sim $((half + 1)) "$sims"
    echo "reality: $folder"
done
