# Functions of benches/end_to_end.sh and benches/instructions.sh: servers that always stop, and measured runs. Sourced, not run.
# shellcheck shell=bash

# What runs in the background: servers, and products that are paced side by side.
declare -A pids=()

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

stop_all() {
  local pid
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
}

# build: sets `tools`, `product` (or what PRODUCT says) and `data`, the folder for generated input.
build() {
  say "building"
  [[ -n ${PRODUCT:-} ]] || cargo build --locked --release --quiet --bin stigg-import
  tools=$(cargo build --locked --release --bench end_to_end --message-format=json-render-diagnostics |
    grep '"name":"end_to_end"' | grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d'"' -f4)
  target=${CARGO_TARGET_DIR:-$root/target}
  product=${PRODUCT:-$target/release/stigg-import}
  [[ -x $tools && -x $product ]] || die "the build made no programs"
  data=$target/end_to_end
  mkdir -p "$data"
}

# generated KIND ROWS: the file's name; made where it is missing.
generated() {
  local file=$data/$1_$2.csv
  if ! [[ -f $file ]]; then
    "$tools" generate "$1" --rows "$2" --out "$file.part" && mv "$file.part" "$file"
  fi
  printf '%s' "$file"
}

# start_server NAME [SERVER OPTIONS]: sets `port`; its counts end in $work/NAME.server.
start_server() {
  local name=$1 out="$work/$1.server"
  shift
  : >"$out"
  "$tools" server "$@" >>"$out" 2>&1 &
  pids[$name]=$!
  local tries
  for tries in {1..100}; do
    port=$(awk '/^listening/ { print $2 }' "$out")
    [[ -n $port ]] && return
    sleep 0.05
  done
  die "the counting server did not start after $tries tries: $(cat "$out")"
}

# stop_server NAME
stop_server() {
  kill -TERM "${pids[$1]}"
  wait "${pids[$1]}" || true
  unset "pids[$1]"
}

# number KEY FILE: the first number of that key in a file's last line, which is JSON.
number() { tail -n 1 "$2" | grep -o "\"$1\": *[0-9.]*" | head -n 1 | sed 's/.*: *//' || true; }

# measured NAME COMMAND...: appends "wall CPU peak" (s, s, KiB) to $work/NAME.runs.
measured() {
  local name=$1 TIMEFORMAT='%R %U %S' status=0
  shift
  { time /usr/bin/time -o "$work/$name.peak" -f %M "$@" >"$work/$name.out" 2>"$work/$name.err"; } \
    2>"$work/$name.times" || status=$?
  # A plan that has something to send ends with 4.
  ((status == 0)) || [[ $name == plan && $status == 4 ]] || die "exit $status from: $*
$(tail -n 5 "$work/$name.err")"
  awk -v peak="$(tail -n 1 "$work/$name.peak")" '{ print $1, $2 + $3, peak }' "$work/$name.times" >>"$work/$name.runs"
}

# median NAME COLUMN, highest NAME COLUMN: over the runs of a name (1 wall, 2 CPU, 3 peak).
median() { sort -n -k "$2,$2" "$work/$1.runs" | awk -v c="$2" '{ v[NR] = $c } END { print (v[int((NR+1)/2)] + v[int((NR+2)/2)]) / 2 }'; }
highest() { awk -v c="$2" '$c > max { max = $c } END { print max }' "$work/$1.runs"; }

# calc EXPRESSION [FORMAT]
calc() { awk "BEGIN { printf \"${2:-%.2f}\", $1 }"; }

# import NAME LEDGER CSV PORT [OPTIONS]: a measured run of the product that must take every row.
import() {
  local name=$1 ledger=$2 csv=$3 port=$4
  shift 4
  measured "$name" "$product" run --mapping "$here/end_to_end/usage.toml" --csv "$csv" \
    --target "http://127.0.0.1:$port/graphql" --ledger "$ledger" --json "$@"
}

# expect NAME KEY VALUE: a run that did less than it should is no measurement.
expect() {
  local found
  found=$(tr -d '\n' <"$work/$1.out" | grep -o "\"$2\": *[0-9]*" | head -n 1 | sed 's/.*: *//' || true)
  [[ $found == "$3" ]] || die "$1: $2 is ${found:-missing}, not $3: $(tail -c 600 "$work/$1.out")"
}

# alongside FUNCTION ARGUMENTS...: runs it in a subshell in the background, which stops what it started.
alongside() {
  (
    pids=()
    trap stop_all EXIT
    trap 'exit 143' TERM
    "$@"
  ) &
  pids[alongside_$!]=$!
}

# await_alongside: waits for all of them, fails where one failed.
await_alongside() {
  local name failed=0
  for name in "${!pids[@]}"; do
    [[ $name == alongside_* ]] || continue
    wait "${pids[$name]}" || failed=1
    unset "pids[$name]"
  done
  ((failed == 0)) || die "a run failed"
}

# row CASE MEASURED GOAL REACHED(0|1|-): a line of the table.
row() {
  local reached=$4
  case $reached in 1) reached=yes ;; 0) reached=**no** ;; esac
  printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$reached" >>"$table"
  say "  $1: $2 (goal: $3): $reached"
}

# holds CONDITION: 1 or 0.
holds() { awk "BEGIN { print ($1) ? 1 : 0 }"; }
