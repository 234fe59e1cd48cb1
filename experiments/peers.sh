#!/usr/bin/env bash
# Runs the same plans with this agent and with Serf, in one session on one machine, and puts the results beside each other: each node
# in a network namespace of its own.
#
#   experiments/peers.sh [PLAN...] [--out DIR] [--backend netns|local]
#
# A PLAN is a file or the name of one in experiments/plans (default: peers peers-crash peers-idle peers-join). Needs root, `ip`, `nft` and `serf`
# (on Debian: apt-get install iproute2 nftables serf); with --backend local only `serf`, but then nothing is lost and no bytes of Serf
# are counted. Serf runs as it is, with its LAN profile; `serf-node` beside it takes the master's orders, stamps what Serf's event
# stream says, and lets the kernel count and lose its datagrams, since Serf cannot. The folder DIR/peers-DATE then holds a folder for
# each plan and agent, and `report/peers.html`. A plan that Serf cannot finish (its cluster does not form) is part of the answer.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(dirname -- "$here")
out=$here/results
backend=netns
plans=()

fail() {
    printf 'peers.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        --out | --backend)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in
                --out) out=$2 ;;
                --backend) backend=$2 ;;
            esac
            shift ;;
        -*) fail "unknown option $1" ;;
        *) plans+=("$1") ;;
    esac
    shift
done
[ "${#plans[@]}" -gt 0 ] || plans=(peers peers-crash peers-idle peers-join)
for place in "${!plans[@]}"; do
    [ -f "${plans[place]}" ] || plans[place]=$here/plans/${plans[place]}.toml
    [ -f "${plans[place]}" ] || fail "there is no plan ${plans[place]}"
done
tools=(serf)
case $backend in
    netns)
        [ "$(id -u)" = 0 ] || fail 'network namespaces need root'
        tools+=(ip nft setpriv) ;;
    local) ;;
    *) fail "--backend $backend: it is netns or local" ;;
esac
for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || fail "$tool is missing; on Debian: apt-get install iproute2 nftables serf util-linux"
done

host=$(rustc -vV | sed -n 's/^host: //p')
bin=${CARGO_TARGET_DIR:-$root/target}/$host/release
# The flags of run.sh, so that neither builds what the other has built.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --manifest-path "$root/Cargo.toml" --release --target "$host" \
    -p gossip-node -p master -p analysis -p serf-node --bins >&2
if commit=$(git -C "$root" rev-parse HEAD 2>/dev/null); then
    HEARSAY_COMMIT=$commit
    HEARSAY_DIRTY=$([ -z "$(git -C "$root" status --porcelain)" ] && echo false || echo true)
    export HEARSAY_COMMIT HEARSAY_DIRTY
fi

folder=$out/peers-$(date -u +%Y%m%d-%H%M%S)
mkdir -p -- "$folder"
ours=()
theirs=()
for plan in "${plans[@]}"; do
    name=$(basename -- "$plan" .toml)
    for agent in hearsay serf; do
        program=gossip-node
        [ "$agent" = hearsay ] || program=serf-node
        code=0
        "$bin/gossip-master" run "$plan" --backend "$backend" --out "$folder/$name-$agent" --node-binary "$bin/$program" || code=$?
        result=$folder/$name-$agent/$(readlink -- "$folder/$name-$agent/latest" || true)
        [ "$code" = 0 ] || { [ "$agent" = serf ] && [ -s "$result/records.jsonl" ]; } || fail "$agent did not finish $name (code $code)"
        if [ "$agent" = hearsay ]; then ours+=("$result"); else theirs+=("$result"); fi
    done
done
# Debian's build of 0.9.4 calls itself by an older version: the package's is the right one.
version=$(dpkg-query -W -f='${Version}' serf 2>/dev/null | sed 's/[~+-].*//') || true
[ -n "$version" ] || version=$(serf version | sed -n '1s/^[^0-9]*//p')
"$bin/gossip-analysis" peers "${ours[@]}" --theirs "${theirs[@]}" --name "Serf $version" --out "$folder/report"
echo "peers: $folder"
