#!/usr/bin/env bash
# Two hundred runs (or RUNS) of one `sync` process, a second apart, over 20,000 customers of which some change each time. Fails if
# the process is larger after the last run than after the twentieth, by more than 2 MiB. About four minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-200} customers=20000
cargo build --release --locked --quiet
program=$(realpath "${CARGO_TARGET_DIR:-target}")/release/stigg-import
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

export_of() {
  python3 - "$1" "$customers" <<'PY'
import os, sys
run, customers = map(int, sys.argv[1:])
with open("new.csv", "w") as out:
    out.write("id,name\n")
    for number in range(customers):
        out.write(f"cus-{number},Customer {number}.{run if number % 100 == run % 100 else 0}\n")
os.rename("new.csv", "customers.csv")
PY
}

printf 'entity = "customer"\n[fields]\ncustomerId = "id"\nname = "name"\n' >customers.toml
export_of 0
"$program" sandbox --port 0 --quiet >sandbox &
pids+=($!)
for _ in {1..100}; do [[ -s sandbox ]] && break; sleep 0.1; done
: >log
"$program" sync --mapping customers.toml --csv customers.csv --every 1s --target "$(<sandbox)" --rate-scale 1000 --metrics 127.0.0.1:0 >out.jsonl --json 2>log &
sync=$!
pids+=("$sync")

done_runs() { grep -c 'is done in' log || true; }
size_kib() { awk '/VmRSS/ {print $2}' "/proc/$sync/status"; }
first=0
while (($(done_runs) < runs)); do
  kill -0 "$sync" || { cat log; exit 1; }
  ((first)) || { (($(done_runs) >= 20)) && first=$(size_kib); } || true
  export_of "$(done_runs)"
  sleep 0.9
done
last=$(size_kib)
ledger=$(stat -c %s .stigg-import/ledger.db)
kill -TERM "$sync"
wait "$sync"
echo "$(done_runs) runs over $customers customers: $((first / 1024)) MiB after 20, $((last / 1024)) MiB after the last; the ledger has $((ledger / 1024)) KiB"
((last <= first + 2048)) || { echo "it grows: $first KiB, then $last KiB"; exit 1; }
