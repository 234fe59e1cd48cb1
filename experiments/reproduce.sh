#!/usr/bin/env bash
# Regenerates the numbers and figures of experiments/FINDINGS.md, and compares the verdicts with those that it states.
#
#   experiments/reproduce.sh [--quick] [--out DIR] [--backend auto|docker|netns|local] [--peers]
#
# Needs what experiments/run.sh needs (Linux, Rust, a C compiler; Docker or root for containers or network namespaces, else plain
# processes), 2 GiB of memory and 1 GB of disk. --quick takes fewer runs, sizes and events: under 10 minutes on two cores, building
# included; without it 75 minutes. --peers adds the session beside Serf (experiments/peers.sh: root, `nft`, `serf`; 35 minutes).
#
# Of the four tiers: rounds by the exact chain and node by node (`kernel`), the nodes' own code in virtual time (`sim`), and the same
# on real nodes (`cluster`), held against a model without fitted parameters (`goodness`). DIR (default
# experiments/results/reproduce-DATE) then holds:
#
#   kernel/laws.html            how rounds grow to 10^18 nodes, and what they cost (runs.jsonl: every run)
#   goodness/goodness.html      real and simulated nodes against the model, with p-values
#   cluster/, sim/              every result with its log and report
#   verdicts.txt                to be the same as experiments/verdicts.txt
#
# Ends with 0 when the verdicts are the same. What may differ: figures of real nodes, by the machine and by chance; the kernel and the
# simulator give the same bytes on every machine, except that --quick has fewer runs.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(dirname -- "$here")
out=$here/results/reproduce-$(date -u +%Y%m%d-%H%M%S)
backend=auto
quick=no
peers=no

fail() {
    printf 'reproduce.sh: %s\n' "$*" >&2
    exit 1
}
step() { printf '\n=== %s (%ss)\n' "$*" "$SECONDS" >&2; }

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        --quick) quick=yes ;;
        --peers) peers=yes ;;
        --out | --backend)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in --out) out=$2 ;; --backend) backend=$2 ;; esac
            shift ;;
        *) fail "unknown option $1" ;;
    esac
    shift
done
case $backend in auto | docker | netns | local) ;; *) fail "--backend $backend: it is one of auto, docker, netns, local" ;; esac
if [ "$peers" = yes ]; then
    [ "$(id -u)" = 0 ] || fail '--peers needs root'
    for tool in ip nft serf setpriv; do
        command -v "$tool" >/dev/null || fail "--peers: $tool is missing; on Debian: apt-get install iproute2 nftables serf util-linux"
    done
fi
mkdir -p -- "$out"
out=$(readlink -f -- "$out")

runs=400 nodes_max=1e7
real=(push pull push-pull growing heavy-tail median-counter eager sqrt-tree)
lossy=("${real[@]}")
simulated=(push push-pull growing heavy-tail eager sqrt-tree)
if [ "$quick" = yes ]; then
    runs=60 nodes_max=1e5
    real=(push push-pull growing eager sqrt-tree)
    lossy=(push-pull eager)
    simulated=(push-pull growing eager sqrt-tree)
fi

# The plan NAME, made smaller for --quick; the result keeps it as it was run.
plan() {
    local from=$here/plans/answer/$1.toml to=$out/plans/$1.toml
    mkdir -p -- "$out/plans"
    if [ "$quick" = no ]; then
        cp -- "$from" "$to"
    else
        sed -e 's/^sizes = \[8.*/sizes = [8, 32]/; s/^sizes = \[64\]/sizes = [32]/; s/^sizes = \[100,.*/sizes = [100, 1000]/' \
            -e 's/^count = 100/count = 40/' "$from" >"$to"
    fi
    printf '%s' "$to"
}

# Runs the plan NAME on a backend and notes its result among `results`.
results=()
conduct() {
    local folder=$out/$2
    step "$1 on $3"
    "$here/run.sh" "$(plan "$1")" --backend "$3" --out "$folder" >>"$out/run.log" || fail "$1 on $3 failed; see $out/run.log"
    results+=("$folder/$(readlink -- "$folder/latest")")
}

host=$(rustc -vV | sed -n 's/^host: //p')
bin=${CARGO_TARGET_DIR:-$root/target}/$host/release
step 'build'
# What run.sh builds, in the same way.
packages=(-p gossip-node -p master -p gossip-sim -p analysis)
build() {
    cargo build --manifest-path "$root/Cargo.toml" --release --target "$host" "${packages[@]}" --bins >&2
}
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" build || build || fail 'the build failed: see above'

step 'kernel: every strategy to 10^18 nodes, or as far as it can be played'
mkdir -p -- "$out/kernel"
"$bin/gossip-sim" kernel sweep --seed 1 --runs "$runs" --nodes-max "$nodes_max" --threads 2 >"$out/kernel/runs.jsonl" 2>"$out/kernel/sweep.log"
"$bin/gossip-analysis" laws "$out/kernel/runs.jsonl" --out "$out/kernel" | tee "$out/kernel/verdicts.txt" >&2

for name in "${real[@]}"; do conduct "$name" cluster "$backend"; done
for name in "${lossy[@]}"; do conduct "$name-loss" cluster "$backend"; done
for name in "${simulated[@]}"; do conduct "$name-sim" sim sim; done

step 'real and simulated nodes against the model'
"$bin/gossip-analysis" goodness "${results[@]}" --out "$out/goodness" | tee "$out/goodness.txt" >&2

if [ "$peers" = yes ]; then
    step 'beside Serf'
    "$here/peers.sh" --out "$out" >&2
fi

# What FINDINGS.md claims, as this run has it. --quick has fewer lines: each of them is to be among those stated.
{
    grep -v '^report: ' "$out/kernel/verdicts.txt" || true
    grep '^order under ' "$out/goodness.txt" || true
    sed -n 's/.* \([0-9]*\) of \([0-9]*\) events complete$/\1 \2/p' "$out/goodness.txt" |
        awk '$1 != $2 { lost++ } END { print !NR ? "no runs" : lost ? lost " runs lost events" : "every event known to all" }'
} >"$out/verdicts.txt"
step 'verdicts'
[ -s "$here/verdicts.txt" ] || fail "there is no $here/verdicts.txt to compare with"
if other=$(grep -Fxv -f "$here/verdicts.txt" "$out/verdicts.txt"); then
    echo "not stated in experiments/verdicts.txt:"
    echo "$other"
    echo "everything is in $out"
    exit 1
fi
echo "the verdicts are those of FINDINGS.md; everything is in $out"
