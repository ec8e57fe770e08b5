#!/usr/bin/env bash
# Answers every goal of docs/performance.md on this machine, as one table of ratios.
#
#   benches/end_to_end.sh                 everything, about ten minutes; writes the table to docs/performance.md
#   benches/end_to_end.sh --quick         a tenth of the rows and fewer runs; prints only
#   benches/end_to_end.sh --only a,b      some of: import no_change scaling memory latency budget subscriptions cold_start peers
#   benches/end_to_end.sh --runs N        runs of each measurement (5)
#   PRODUCT=path benches/end_to_end.sh    measures another build, to compare two
#
# Needs a Rust toolchain and GNU time (installed on Debian where it is missing). Node with npm, and faucet-cli,
# are compared with where they are. Listens on the loopback interface only, on free ports.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cd "$root"
# shellcheck source=benches/end_to_end/run.sh
source "$here/end_to_end/run.sh"

all=import,no_change,scaling,memory,latency,budget,subscriptions,cold_start,peers
only=$all rows=1000000 runs=5 quick=0
while (($#)); do
  case $1 in
    --quick) quick=1 rows=100000 runs=3 ;;
    --only) only=$2 && shift ;;
    --runs) runs=$2 && shift ;;
    *) sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2; exit 2 ;;
  esac
  shift
done
wanted() { [[ ,$only, == *,$1,* ]]; }
for case in ${only//,/ }; do [[ ,$all, == *,$case,* ]] || die "no case is named $case; there are $all"; done

if ! [[ -x /usr/bin/time ]]; then
  say "installing GNU time"
  { apt-get update -q && apt-get install -yq time; } >/dev/null || die "GNU time is needed: apt-get install time"
fi

build
work=$(mktemp -d "$data/run.XXXXXX")
table=$work/table.md
: >"$table"
trap 'stop_all; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

usage=$(generated usage "$rows")
if ((rows == 1000000)); then size="1 M"; else size="$((rows / 1000)) k"; fi
load=$(cut -d' ' -f1 /proc/loadavg)
# So fast that the budget never waits: what is left is the machine.
unlimited=(--rate-scale 1000000)

if wanted import || wanted no_change || wanted scaling || wanted memory || wanted peers; then
  # The ledger knows a target by its address: what is run again is run against the same port.
  import_port=0
  # The floor is measured in turns with the product, so that both see the same machine.
  say "import: $rows usage rows, no limit"
  for ((run = 1; run <= runs; run++)); do
    start_server floor
    measured floor "$tools" floor --csv "$usage" --url "http://127.0.0.1:$port/graphql"
    stop_server floor
    [[ $(number records "$work/floor.server") == "$rows" ]] || die "the floor did not send every row"

    rm -rf "$work/ledger"
    start_server import --port "$import_port"
    import_port=$port
    import import "$work/ledger/ledger.db" "$usage" "$port" "${unlimited[@]}"
    stop_server import
    expect import accepted "$rows"
    [[ $(number records "$work/import.server") == "$rows" ]] || die "the server did not get every row once"
  done
  import_s=$(median import 1) import_cpu_s=$(median import 2) floor_s=$(median floor 1) floor_cpu_s=$(median floor 2)
fi
if wanted import; then
  ratio=$(calc "$import_cpu_s / $floor_cpu_s")
  row "$size usage rows, no limit, ledger on: CPU against the floor" \
    "$ratio × ($import_cpu_s s / $floor_cpu_s s)" "≤ 3 ×" "$(holds "$ratio <= 3")"
  row "… wall against the floor" "$(calc "$import_s / $floor_s") × ($import_s s / $floor_s s)" "none" "-"
fi

if wanted no_change || wanted scaling || wanted memory; then
  say "no change: the same command again"
  start_server again --port "$import_port"
  for ((run = 1; run <= runs; run++)); do
    import again "$work/ledger/ledger.db" "$usage" "$port" "${unlimited[@]}"
    expect again unchanged "$rows"
    rm -rf "$work/ledger_none"
    measured plan "$product" plan --mapping "$here/end_to_end/usage.toml" --csv "$usage" \
      --offline --ledger "$work/ledger_none/ledger.db" --json
  done
  stop_server again
  [[ -z $(number admitted "$work/again.server") ]] || die "a run without a change sent something"
  again_s=$(median again 1)
fi
if wanted no_change; then
  plan_s=$(median plan 1)
  ratio=$(calc "$again_s / $plan_s")
  row "$size rows, nothing changed: wall" "$again_s s" "≤ 1.0 s" "$(holds "$again_s <= 1.0")"
  row "… against reading and mapping alone (\`plan\`, empty ledger)" "$ratio × ($again_s s / $plan_s s)" \
    "≤ 2.5 ×" "$(holds "$ratio <= 2.5")"
  row "… CPU" "$(median again 2) s" "none" "-"
fi

if wanted scaling || wanted memory; then
  say "ten times the rows"
  usage_10=$(generated usage $((rows * 10)))
  for ((run = 1; run <= (runs + 1) / 2; run++)); do
    rm -rf "$work/ledger_10"
    start_server import_10
    import import_10 "$work/ledger_10/ledger.db" "$usage_10" "$port" "${unlimited[@]}"
    expect import_10 accepted $((rows * 10))
    import again_10 "$work/ledger_10/ledger.db" "$usage_10" "$port" "${unlimited[@]}"
    expect again_10 unchanged $((rows * 10))
    stop_server import_10
  done
  rm -rf "$work/ledger_10"
fi
if wanted scaling; then
  for name in import again; do
    one=$(median "$name" 1) ten=$(median "${name}_10" 1)
    ratio=$(calc "$ten / $one")
    [[ $name == import ]] && what="10 × the rows: time of the import" || what="… time where nothing changed"
    row "$what" "$ratio × ($ten s / $one s)" "≤ 11 ×" "$(holds "$ratio <= 11")"
  done
fi
if wanted memory; then
  for name in import again; do
    peak_mib=$(calc "$(highest "$name" 3) / 1024" %.1f)
    allowed=$(calc "64 + 32 * $rows / 1048576" %.1f)
    bytes=$(calc "($(highest "${name}_10" 3) - $(highest "$name" 3)) * 1024 / (9 * $rows)" %.1f)
    [[ $name == import ]] && what="memory: peak of the import of $size" || what="… peak where nothing changed"
    row "$what" "$peak_mib MiB" "< $allowed MiB" "$(holds "$peak_mib < $allowed")"
    row "… growth for each further known record, to 10 ×" "$bytes bytes" "≤ 32 bytes" "$(holds "$bytes <= 32")"
  done
fi

# paced NAME MAPPING CSV RATE_SCALE [SERVER OPTIONS]: one run against a server of its own; leaves
# "throughput budget in-flight refused seconds" in $work/NAME.paced: requests over the time between the first and the
# last, and over the time from the start of the process to the last, each as a part of the limit.
paced() {
  local name=$1 mapping=$2 csv=$3 scale=$4 per_minute=600 status=0
  shift 4
  [[ $mapping == customers ]] && per_minute=250
  start_server "$name" --rate-scale "$scale" "$@"
  local begin_us
  begin_us=$(($(date +%s%N) / 1000))
  "$product" run --mapping "$here/end_to_end/$mapping.toml" --csv "$csv" --target "http://127.0.0.1:$port/graphql" \
    --rate-scale "$scale" --ledger "$work/$name.ledger/ledger.db" --json >"$work/$name.out" 2>"$work/$name.err" &
  pids[product_$name]=$!
  wait "${pids[product_$name]}" || status=$?
  unset "pids[product_$name]"
  stop_server "$name"
  ((status == 0)) || die "$name: exit $status: $(tail -n 3 "$work/$name.err")"
  local counts=$work/$name.server admitted first_us last_us
  admitted=$(number admitted "$counts")
  first_us=$(tail -n 1 "$counts" | grep -o '"first_unix_us":[0-9]*' | cut -d: -f2 | sort -n | tail -n 1)
  last_us=$(number last_unix_us "$counts")
  awk -v n="$admitted" -v d="$((last_us - first_us))" -v w="$((last_us - begin_us))" -v l="$((per_minute * scale))" \
    -v f="$(number in_flight_max "$counts")" -v r="$(number refused "$counts")" \
    'BEGIN { print (n - 1) / d * 6e7 / l, n / w * 6e7 / l, f, r, w / 1e6 }' >"$work/$name.paced"
}
column() { cut -d' ' -f"$2" "$work/$1.paced"; }

if wanted latency; then
  say "latency: 20 to 500 ms, side by side"
  scale=10 latencies=(20 50 120 500)
  ((quick)) && seconds=10 || seconds=30
  csv=$(generated usage $((1000 * scale * seconds)))
  for latency in "${latencies[@]}"; do
    alongside paced "latency_$latency" usage "$csv" "$scale" --latency-ms "$latency" --jitter-ms $((latency / 5))
  done
  await_alongside
  base=$(column latency_20 1)
  for latency in 50 120 500; do
    ratio=$(calc "$(column "latency_$latency" 1) / $base" %.3f)
    row "latency $latency ms against 20 ms: throughput at $((scale * 10)) requests a second" \
      "$ratio × ($(column "latency_$latency" 3) in flight)" "≥ 0.98 ×" "$(holds "$ratio >= 0.98")"
  done
fi

if wanted budget; then
  say "budget: the published limits for more than a minute, side by side"
  ((quick)) && seconds=20 || seconds=75
  csv=$(generated usage $((1000 * seconds)))
  customers=$(generated customers $((4167 * seconds)))
  latencies=(20 120 500 20 120 500) index=0 names=()
  for limiter in fixed-window sliding-log sliding-counter bucket-minute bucket-tenth bucket-second; do
    latency=${latencies[index++]}
    names+=("$limiter, $latency ms")
    alongside paced "$limiter" usage "$csv" 1 --limiter "$limiter" --latency-ms "$latency" --jitter-ms $((latency / 5))
  done
  alongside paced customers customers "$customers" 1 --limiter bucket-second --latency-ms 120 --jitter-ms 24
  names+=("customers, bucket-second, 120 ms")
  await_alongside
  for name in "${names[@]}"; do
    file=${name%%,*}
    share=$(calc "100 * ($(column "$file" 1) < $(column "$file" 2) ? $(column "$file" 1) : $(column "$file" 2))" %.2f)
    refused=$(column "$file" 4)
    row "budget used at the published limits: $name" "$share %, $refused refused, $(calc "$(column "$file" 5)" %.0f) s" \
      "≥ 98.5 %, 0 refused" "$(holds "$share >= 98.5 && $refused == 0")"
  done
fi

# Asynchronous imports after customers, each with its own budget, against the program's own sandbox: it has tasks, and limits for
# reads too. A thousand subscriptions take one request to import and ten to read back.
if wanted subscriptions; then
  say "subscriptions after customers at the published limits"
  ((quick)) && seconds=10 || seconds=40
  customers=$(generated customers $((4125 * seconds))) subscriptions=$work/subscriptions.csv
  awk -F, 'NR == 1 { print "id,customer,plan" } NR > 1 { print "sub_" substr($1, 5) "," $1 ",plan-free" }' \
    "$customers" >"$subscriptions"
  "$product" sandbox --port 0 --latency-ms 120 --quiet >"$work/sandbox.url" 2>"$work/sandbox.err" &
  pids[sandbox]=$!
  for tries in {1..100}; do [[ -s $work/sandbox.url ]] && break; sleep 0.05; done
  [[ -s $work/sandbox.url ]] || die "the sandbox did not start after $tries tries: $(cat "$work/sandbox.err")"
  {
    printf '[target]\nurl = "%s"\n' "$(<"$work/sandbox.url")"
    for entity in customers subscriptions; do
      printf '[[step]]\nname = "%s"\nmapping = "%s"\nsource = { csv = "%s" }\n' \
        "$entity" "$here/end_to_end/$entity.toml" "${!entity}"
    done
  } >"$work/both.toml"
  STIGG_API_KEY=server-bench measured both "$product" run "$work/both.toml" --ledger "$work/both.ledger/ledger.db" --json
  stop_server sandbox
  # of_step KEY N: the Nth number of that key in the summary.
  of_step() { tr -d '\n' <"$work/both.out" | grep -o "\"$1\": *[0-9.]*" | sed "s/.*: *//" | sed -n "$2p"; }
  [[ $(of_step accepted 2) == $((4125 * seconds)) ]] || die "not every subscription was accepted: $(cat "$work/both.out")"
  refused=$(($(of_step throttled 1) + $(of_step throttled 2)))
  row "customers, then subscriptions, 120 ms: budgets used" \
    "$(calc "100 * $(of_step budget_share 1)" %.1f) % and $(calc "100 * $(of_step budget_share 2)" %.1f) %, $refused refused" \
    "0 refused" "$(holds "$refused == 0")"
  # The first is the whole run's.
  share=$(calc "100 * $(of_step reads 2) / ($(of_step duration_s 3) / 60 * 1500)" %.1f)
  row "… reads of tasks and subscriptions, against the 1,500 a minute of the latter" "$share %" "none" "-"
fi

if wanted cold_start; then
  say "cold start"
  small=$(generated usage 100)
  for run in {1..11}; do
    rm -rf "$work/ledger_cold"
    start_server cold
    begin_us=$(($(date +%s%N) / 1000))
    import cold "$work/ledger_cold/ledger.db" "$small" "$port" "${unlimited[@]}"
    stop_server cold
    first_us=$(tail -n 1 "$work/cold.server" | grep -o '"first_unix_us":[0-9]*' | cut -d: -f2 | sort -n | head -n 1)
    echo "$(calc "($first_us - $begin_us) / 1000" %.1f) 0 0" >>"$work/cold_ms.runs"
  done
  ms=$(median cold_ms 1)
  row "cold start to the first request, empty ledger" "$ms ms" "< 100 ms" "$(holds "$ms < 100")"
fi

if wanted peers; then
  say "peers"
  peers=()
  peer_runs=$(((runs + 1) / 2))
  if command -v node >/dev/null && command -v npm >/dev/null; then
    node_dir=$here/end_to_end/peer_node
    (cd "$node_dir" && npm ci --silent --no-audit --no-fund >/dev/null 2>&1) || die "npm ci failed in $node_dir"
    for ((run = 1; run <= peer_runs; run++)); do
      start_server node
      measured node node "$node_dir/peer.mjs" "$usage" "http://127.0.0.1:$port/graphql" 8
      stop_server node
      [[ $(number records "$work/node.server") == "$rows" ]] || die "the Node peer did not send every row"
    done
    peers+=(node)
  else
    say "  Node or npm is missing: not compared (apt-get install nodejs npm)"
  fi
  # The newest release that Rust 1.95 builds. Set FAUCET_VERSION for another one.
  faucet=$data/faucet/bin/faucet
  command -v faucet >/dev/null && faucet=$(command -v faucet)
  if ! [[ -x $faucet ]]; then
    say "  installing faucet-cli, ${FAUCET_INSTALL_S:-300} s at most (an unfinished build goes on the next time)"
    timeout "${FAUCET_INSTALL_S:-300}" cargo install faucet-cli --version "${FAUCET_VERSION:-1.0.1}" --locked --quiet \
      --no-default-features --features source-csv,sink-http --root "$data/faucet" --target-dir "$data/faucet/build" \
      >"$work/faucet.log" 2>&1 || say "  faucet-cli can't be installed here: not compared"
  fi
  if [[ -x $faucet ]]; then
    for ((run = 1; run <= peer_runs; run++)); do
      start_server faucet
      sed -e "s|@CSV@|$usage|" -e "s|@URL@|http://127.0.0.1:$port/graphql|" "$here/end_to_end/peer_faucet.yaml" >"$work/faucet.yaml"
      measured faucet "$faucet" run "$work/faucet.yaml"
      stop_server faucet
      [[ $(number records "$work/faucet.server") == "$rows" ]] || die "faucet did not send every row"
    done
    peers+=(faucet)
  fi
  fastest=
  for peer in ${peers[@]+"${peers[@]}"}; do
    wall=$(median "$peer" 1)
    row "peer $peer: wall, CPU, peak" "$wall s, $(median "$peer" 2) s, $(calc "$(highest "$peer" 3) / 1024" %.0f) MiB" "none" "-"
    if [[ -z $fastest ]] || (($(holds "$wall < $(median "$fastest" 1)"))); then fastest=$peer; fi
  done
  if [[ -n $fastest ]]; then
    ratio=$(calc "$(median "$fastest" 1) / $import_s")
    row "$size usage rows, no limit, ledger on: faster than the fastest peer ($fastest)" \
      "$ratio × ($(median "$fastest" 1) s / $import_s s)" "≥ 3 ×" "$(holds "$ratio >= 3")"
  fi
fi

{
  model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
  printf '%s: %s cores (%s), %s GiB, Linux %s, %s, load %s before the start. Medians of %s runs; commit %s.\n\n' \
    "$(date -u +%F)" "$(nproc)" "${model:-unknown model}" \
    "$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(uname -r | cut -d- -f1)" "$(rustc --version | cut -d' ' -f1,2)" \
    "$load" "$runs" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  printf '| case | measured | goal | reached |\n| --- | --- | --- | --- |\n'
  cat "$table"
} >"$work/result.md"
cat "$work/result.md"

if ((!quick)) && [[ $only == "$all" ]]; then
  awk -v result="$work/result.md" '
    /<!-- table: begin -->/ { print; print ""; while ((getline line < result) > 0) print line; print ""; inside = 1 }
    /<!-- table: end -->/ { inside = 0 }
    !inside && !/<!-- table: begin -->/ { print }
  ' docs/performance.md >"$work/performance.md"
  cat "$work/performance.md" >docs/performance.md
  say "written to docs/performance.md"
fi
! grep -q '\*\*no\*\*' "$table" || { say "a goal is not reached"; exit 1; }
