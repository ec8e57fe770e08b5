#!/usr/bin/env bash
# Four workers import 200,000 usage records (or RECORDS) over one ledger in Postgres, into the sandbox at the published rate
# (or RATE_SCALE times it), whose own limiter counts strictly. Then the same again, and two of them are killed half-way
# and two others started. Fails if a record is missing or was accepted twice, if the limiter refused a request, or if less than 95 % of the
# rate was used. Needs Debian's postgresql, as ./test does, and python3. About seven minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

records=${RECORDS:-200000} scale=${RATE_SCALE:-1} workers=4 features=100
bin=$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -1)
[[ -x $bin/initdb ]] || { echo "postgresql is missing; run ./test once" >&2; exit 1; }
cargo build --release --locked --quiet
program=$(realpath "${CARGO_TARGET_DIR:-target}")/release/stigg-import

work=$(mktemp -d)
chmod 755 "$work"
# initdb refuses root.
as_postgres=()
((EUID != 0)) || { chown postgres "$work"; as_postgres=(runuser -u postgres --); }
pids=()
stop() {
  kill "${pids[@]}" 2>/dev/null || true
  "${as_postgres[@]}" "$bin/pg_ctl" -D "$work/pg" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop EXIT

port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
"${as_postgres[@]}" "$bin/initdb" -D "$work/pg" --username=bench --auth=trust --no-sync >/dev/null
"${as_postgres[@]}" "$bin/pg_ctl" -D "$work/pg" -w -l "$work/pg.log" \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work" start >/dev/null

mkdir "$work/run"
cd "$work/run"
python3 - "$records" "$features" <<'PY'
import json, sys
records, features = map(int, sys.argv[1:])
# Usage is of customers that have a subscription.
customers = [f"cus-{number}" for number in range((records + features - 1) // features)]
with open("data.json", "w") as out:
    json.dump({"customers": {id: {"name": id} for id in customers},
               "subscriptions": {"sub-" + id: {"customerId": id, "planId": "free", "pricingType": "FREE"} for id in customers}}, out)
with open("usage.csv", "w") as out:
    out.write("customer,feature,value\n")
    for number in range(records):
        out.write(f"cus-{number // features},feature-{number % features},{number}\n")
PY
cat >usage.toml <<'TOML'
entity = "usage"
[fields]
customerId = "customer"
featureId  = "feature"
value      = "value"
TOML

# worker INDEX NAME TARGET: one worker, its account in NAME.json.
worker() {
  "$program" run --mapping usage.toml --csv usage.csv --json --quiet --target "$3" --rate-scale "$scale" --shard "$1/$workers" >"$2.json" 2>"$2.log"
}

# round NAME KILL: all workers; with KILL, two of them are killed half-way and two others started.
round() {
  local name=$1 kill=$2 sandbox began ended killed
  "${as_postgres[@]}" "$bin/createdb" -h 127.0.0.1 -p "$port" -U bench "$name"
  export STIGG_IMPORT_LEDGER="postgres://bench@127.0.0.1:$port/$name" STIGG_IMPORT_LEASE_SECONDS=5
  "$program" sandbox --port 0 --quiet --data data.json --rate-scale "$scale" --latency-ms 50 >"$name.sandbox" &
  sandbox=$!
  pids+=("$sandbox")
  for _ in {1..100}; do [[ -s $name.sandbox ]] && break; sleep 0.1; done
  local target
  target=$(<"$name.sandbox")
  began=$(date +%s.%N)
  local running=()
  for ((index = 0; index < workers; index++)); do
    worker "$index" "$name-$index" "$target" &
    running+=($!)
  done
  if ((kill)); then
    sleep "$(python3 -c "print($records / 100 / (600 * $scale) * 60 / 2)")"
    for index in 1 3; do
      killed=$(pgrep -P "${running[$index]}")
      kill -9 "$killed"
      wait "${running[$index]}" 2>/dev/null || true
      worker "$index" "$name-$index" "$target" &
      running[index]=$!
    done
  fi
  for pid in "${running[@]}"; do wait "$pid" || { echo "a worker ended with $?:"; cat "$name"-*.log "$name"-*.json; exit 1; }; done
  ended=$(date +%s.%N)
  # Everything is there, by the API's own account: a worker of all records finds nothing that is missing or different.
  sleep 6
  "$program" run --mapping usage.toml --csv usage.csv --json --quiet --target "$target" --rate-scale "$scale" >"$name-after.json"
  kill "$sandbox"
  python3 - "$name" "$workers" "$records" "$scale" "$began" "$ended" "$kill" <<'PY'
import json, sys
name, workers, records, scale, began, ended, kill = sys.argv[1:]
workers, records, scale, took = int(workers), int(records), float(scale), float(ended) - float(began)
steps = [json.load(open(f"{name}-{index}.json"))["steps"][0] for index in range(workers)]
total = lambda count: sum(step[count] for step in steps)
after = json.load(open(f"{name}-after.json"))["steps"][0]
share = records / 100 / (took / 60 * 600 * scale)
print(f"{name}: {records:,} records by {workers} workers in {took:.1f} s, {share:.1%} of the rate limit; "
      f"accepted {total('accepted'):,}, unchanged {total('unchanged'):,}, throttled {total('throttled')}, retries {total('retries')}; "
      f"a run over all of them afterwards: {after['unchanged']:,} unchanged, {after['accepted']} accepted")
wrong = []
if total("accepted") + total("unchanged") != records: wrong.append("records are missing from the account")
if kill == "0" and total("accepted") != records: wrong.append("not every record was accepted once")
if total("throttled"): wrong.append("the limiter refused a request")
if after["unchanged"] != records or after["accepted"]: wrong.append("a run afterwards finds something to send")
if kill == "0" and share < 0.95: wrong.append("less than 95 % of the rate")
if wrong: sys.exit("; ".join(wrong))
PY
}

round whole 0
round killed 1
