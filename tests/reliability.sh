#!/usr/bin/env bash
# The long form of what `./test` does in short: schedules of faults and kills, kills of the real program, wrong answers, full
# disks, damaged ledgers, inputs made by chance, canaries. Counts what was done from the tests' own words, and prints a table
# in Markdown; docs/reliability.md has the last one. Fails where one fails; what failed is then in the log that is named.
#
#   tests/reliability.sh           some quarter of an hour on two cores, after a release build of the tests
#   tests/reliability.sh short     the same rows in minutes
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never RUST_BACKTRACE=0 STIGG_IMPORT_COUNTED=1

case ${1:-long} in
  long) schedules=10000 kills=20 runs=2000 damages=2000 crash_every=1 fuzz_seconds=20 ;;
  short) schedules=500 kills=2 runs=200 damages=100 crash_every=11 fuzz_seconds=2 ;;
  *) sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2; exit 2 ;;
esac

logs=$(mktemp -d)
# What lives as long as a process and not as long as a disk is kept in memory, where there is such a place.
[[ -d /dev/shm && -w /dev/shm ]] && { TMPDIR=$(mktemp -d -p /dev/shm); chmod 711 "$TMPDIR"; export TMPDIR; trap 'rm -rf "$TMPDIR"' EXIT; }

echo "building the tests" >&2
cargo test --locked --release --lib --test it --no-run >&2 || exit 1

# The sums of all lines `counted: N WHAT` of a log, in the order in which they came first.
sums() {
  sed -n 's/.*counted: \([0-9]*\) \(.*\)/\1 \2/p' "$1" | awk '
    { n = $1; $1 = ""; if (!($0 in sum)) names[++kinds] = $0; sum[$0] += n }
    END { for (at = 1; at <= kinds; at++) printf("%s%d%s", (at > 1 ? ", " : ""), sum[names[at]], names[at]) }' |
    sed -E ':next; s/([0-9])([0-9]{3})($|[^0-9])/\1,\2\3/; t next'
}

rows=() failed=0
# measure WHAT [NAME=VALUE...] TARGET TEST...: runs tests, one row of the table.
measure() {
  local what=$1 log begin=$SECONDS settings=() result=ok
  shift
  while [[ $1 == *=* ]]; do settings+=("$1"); shift; done
  local target=$1
  shift
  [[ $target == lib ]] && target=(--lib) || target=(--test "$target")
  log=$logs/${#rows[@]}.log
  echo "$what ..." >&2
  env "${settings[@]}" cargo test --locked --release "${target[@]}" -- --nocapture "$@" >"$log" 2>&1 ||
    { result="**failed**, see $log"; failed=1; tail -n 30 "$log" >&2; }
  # A name that no test has any more would pass unseen.
  [[ $result != ok ]] || grep -qE '^test result: ok\. [1-9]' "$log" ||
    { result="**nothing ran**"; failed=1; }
  local command="${settings[*]} cargo test --release ${target[*]} -- $*"
  rows+=("| $what | $(sums "$log") | $((SECONDS - begin)) s | \`${command# }\` | $result |")
}

began=$SECONDS
measure "Schedules of faults and kills in virtual time, each against the three promises" \
  STIGG_IMPORT_FAULT_CASES=$schedules it pipeline::faults::
measure "Scheduled runs over a source that changes, in virtual time" STIGG_IMPORT_SCHEDULE_RUNS=$runs it pipeline::scheduled::
measure "\`kill -9\` of the program, and faults that lose work" STIGG_IMPORT_KILLS=$kills it kill::
measure "Failures of the ledger in the middle of a write" STIGG_IMPORT_CRASH_EVERY=$crash_every lib ledger::sqlite::crash::
measure "Damage to the ledger's file" STIGG_IMPORT_DAMAGE_CASES=$damages lib ledger::sqlite::repair::
measure "Broken and hostile answers" it cli::hostile::
measure "Full disks, few files, little memory" it cli::limits:: cli::trouble::
measure "Inputs made by chance, $fuzz_seconds s for each target" STIGG_IMPORT_FUZZ_SECONDS=$fuzz_seconds it fuzz::
measure "Bytes searched for canaries" it cli::canaries::

dirty=$(git status --porcelain 2>/dev/null | grep -q . && echo ", with changes")
printf '\nCommit %s%s, %s, %s, %s cores, %d s in all, a release build:\n\n' "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$dirty" \
  "$(date -u +%F)" "$(rustc --version | cut -d' ' -f1,2)" "$(nproc)" $((SECONDS - began))
printf '| what | counted | time | command | |\n| --- | --- | ---: | --- | --- |\n'
printf '%s\n' "${rows[@]}"
((failed)) || rm -rf "$logs"
exit "$failed"
