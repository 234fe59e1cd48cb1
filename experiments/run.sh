#!/usr/bin/env bash
# From a plan to a report: builds the programs, runs the plan on a cluster of real nodes, analyses what they recorded. Backend sim runs
# the same nodes in virtual time.
#
#   experiments/run.sh [PLAN] [--backend auto|docker|netns|local|sim] [--out DIR] [options of gossip-master run or gossip-sim run]
#
# PLAN is a file or the name of one in experiments/plans (default: quick). Ends with 0 when there is a complete result.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(dirname -- "$here")
plan=''
backend=auto
out=$here/results
options=()

usage() { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
# A terminal that is gone is no reason to stop half way.
say() { printf '%s\n' "$*" >&2 || true; }
fail() {
    say "run.sh: $*"
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --backend | --out | --seed | --threads | --instance | --subnet | --parent | --node-binary)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in
                --backend) backend=$2 ;;
                --out) out=$2 ;;
                *) options+=("$1" "$2") ;;
            esac
            shift ;;
        --record-inputs) options+=("$1") ;;
        --backend=*) backend=${1#*=} ;;
        --out=*) out=${1#*=} ;;
        -*) usage >&2; fail "unknown option $1" ;;
        *)
            [ -z "$plan" ] || fail "one plan at a time: $plan and $1 were given"
            plan=$1 ;;
    esac
    shift
done

case $backend in
    auto | docker | netns | local | sim) ;;
    *) fail "--backend $backend: it is one of auto, docker, netns, local, sim" ;;
esac
if [ -z "$plan" ]; then
    plan=$here/plans/quick.toml
elif [ ! -f "$plan" ] && [ -f "$here/plans/$plan.toml" ]; then
    plan=$here/plans/$plan.toml
fi
[ -f "$plan" ] || fail "there is no plan $plan; there are: $(cd -- "$here/plans" && echo ./*.toml | sed 's|\./||g; s|\.toml||g')"

# ---- what is needed ----

# Installs Debian packages when that is possible here, or says what to install.
need() {
    local what=$1
    shift
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$what is missing: apt-get install $*"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 ||
            fail "$what could not be installed (packages $*)"
    else
        fail "$what is missing. On Debian: apt-get install $*"
    fi
}

[ -n "${HOME:-}" ] && [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
if ! command -v cargo >/dev/null; then
    # What distributions call cargo is often too old; rustup, where they have it, brings a current one.
    if apt-cache show rustup >/dev/null 2>&1; then
        need 'Rust (cargo)' rustup
        rustup default stable >&2
    else
        fail 'Rust (cargo) is missing: install it with rustup, https://rustup.rs'
    fi
fi
command -v cc >/dev/null || need 'a C compiler, which Rust links with,' gcc libc6-dev
case $backend in
    docker | netns) command -v ip >/dev/null || need 'the command ip' iproute2 ;;
esac

# ---- build ----

host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-$root/target}
bin=$target/$host/release
say "building (release, static) …"
# The same for every backend: another set has other features, with which Cargo compiles what they share once more.
packages=(-p gossip-node -p master -p gossip-sim -p analysis)
build() {
    cargo build --manifest-path "$root/Cargo.toml" --release --target "$host" "${packages[@]}" --bins >&2
}
# Images from scratch hold one file: it must not need a loader. The explicit target keeps the flag off build scripts.
if ! RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" build; then
    [ "$backend" != docker ] || fail 'the static build failed: see above (on Fedora: dnf install glibc-static)'
    say 'the static build failed; trying an ordinary one, which the backends local, netns and sim can use'
    build || fail 'the build failed: see above'
fi

# ---- run ----

# The programs may be built elsewhere than in the checkout: tell them from what.
if commit=$(git -C "$root" rev-parse HEAD 2>/dev/null); then
    HEARSAY_COMMIT=$commit
    HEARSAY_DIRTY=$([ -z "$(git -C "$root" status --porcelain)" ] && echo false || echo true)
    export HEARSAY_COMMIT HEARSAY_DIRTY
fi
mkdir -p -- "$out"
before=$(readlink -- "$out/latest" || true)
code=0
program=gossip-master
run=("$bin/gossip-master" run "$plan" --backend "$backend" --out "$out")
if [ "$backend" = sim ]; then
    program=gossip-sim
    run=("$bin/gossip-sim" run "$plan" --out "$out")
fi
"${run[@]}" ${options[@]+"${options[@]}"} &
master=$!
# Ctrl-C reaches the master by itself; the other signals reach only this script.
trap : INT
trap 'kill -TERM "$master" 2>/dev/null || true' TERM HUP
while :; do
    code=0
    wait "$master" || code=$?
    kill -0 "$master" 2>/dev/null || break
done
trap - INT TERM HUP

# ---- analyse, also what was collected before a failure ----

result=$(readlink -- "$out/latest" || true)
if [ -z "$result" ] || [ "$result" = "$before" ] || [ ! -s "$out/$result/records.jsonl" ]; then
    [ "$code" -ne 0 ] || code=1
    say "run.sh: nothing was recorded ($program ended with $code)"
    exit "$code"
fi
[ "$code" -eq 0 ] || say "run.sh: $program ended with $code; the report covers what was collected before"
if ! "$bin/gossip-analysis" "$out/$result"; then
    [ "$code" -ne 0 ] || code=1
    say "run.sh: the analysis failed; the records are in $out/$result"
fi
exit "$code"
