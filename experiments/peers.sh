#!/usr/bin/env bash
# Runs one plan with this agent and with Serf, in one session on one machine, and compares: each node in a network namespace of its own.
#
#   experiments/peers.sh [PLAN] [--out DIR]
#
# PLAN is a file or the name of one in experiments/plans (default: peers). Needs root, `ip`, `nft` and `serf` (on Debian: apt-get install
# iproute2 nftables serf). Serf runs as it is, with its LAN profile; `serf-node` beside it takes the master's orders, stamps what
# Serf's event stream says, and lets the kernel count and lose its datagrams, since Serf cannot. Ends with 0 when both have a
# complete result; the folder DIR/PLAN-peers then holds `hearsay` and `serf` (links to the results) and `comparison`.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(dirname -- "$here")
out=$here/results
plan=''

fail() {
    printf 'peers.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        --out)
            [ $# -ge 2 ] || fail "$1 needs a value"
            out=$2
            shift ;;
        -*) fail "unknown option $1" ;;
        *)
            [ -z "$plan" ] || fail "one plan at a time: $plan and $1 were given"
            plan=$1 ;;
    esac
    shift
done
plan=${plan:-peers}
[ -f "$plan" ] || plan=$here/plans/$plan.toml
[ -f "$plan" ] || fail "there is no plan $plan"
[ "$(id -u)" = 0 ] || fail 'network namespaces need root'
for tool in ip nft serf setpriv; do
    command -v "$tool" >/dev/null || fail "$tool is missing; on Debian: apt-get install iproute2 nftables serf util-linux"
done

host=$(rustc -vV | sed -n 's/^host: //p')
bin=${CARGO_TARGET_DIR:-$root/target}/$host/release
cargo build --manifest-path "$root/Cargo.toml" --release --target "$host" \
    -p gossip-node -p master -p analysis -p serf-node --bins >&2
if commit=$(git -C "$root" rev-parse HEAD 2>/dev/null); then
    HEARSAY_COMMIT=$commit
    HEARSAY_DIRTY=$([ -z "$(git -C "$root" status --porcelain)" ] && echo false || echo true)
    export HEARSAY_COMMIT HEARSAY_DIRTY
fi

folder=$out/$(basename -- "$plan" .toml)-peers-$(date -u +%Y%m%d-%H%M%S)
mkdir -p -- "$folder"
for peer in hearsay serf; do
    program=gossip-node
    [ "$peer" = hearsay ] || program=serf-node
    "$bin/gossip-master" run "$plan" --backend netns --out "$folder/$peer-results" --node-binary "$bin/$program"
    ln -s "$peer-results/$(readlink -- "$folder/$peer-results/latest")" "$folder/$peer"
    "$bin/gossip-analysis" "$folder/$peer"
done
"$bin/gossip-analysis" compare "$folder/hearsay" "$folder/serf" --out "$folder/comparison"
echo "peers: $folder"
