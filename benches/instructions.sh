#!/usr/bin/env bash
# Counts the instructions of the release program on a small fixed input, and compares them with
# benches/instructions.txt: a count repeats where a timer does not. Fails where one grew by more than 15 %.
#
# Compared is each count as a multiple of the floor's (benches/end_to_end/floor.rs), which reads and sends the same rows and was
# built by the same compiler: another rustc or libc shifts both, a change of ours only one.
#
#   benches/instructions.sh             compares
#   benches/instructions.sh --record    writes what it counts as the new baseline; say why in the commit
#   PRODUCT=path benches/instructions.sh   counts another build
#
# Needs a Rust toolchain and valgrind (installed on Debian where it is missing).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cd "$root"
# shellcheck source=benches/end_to_end/run.sh
source "$here/end_to_end/run.sh"

growth_max=1.15 rows=20000 record=0
case ${1:-} in
  "") ;;
  --record) record=1 ;;
  *) sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2; exit 2 ;;
esac

if ! command -v valgrind >/dev/null; then
  say "installing valgrind"
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends valgrind; } >/dev/null ||
    die "valgrind is needed: apt-get install valgrind"
fi

build
work=$(mktemp -d "$data/instructions.XXXXXX")
trap 'stop_all; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
csv=$(generated usage "$rows")
start_server instructions

# counted NAME COMMAND...: appends "NAME instructions" to $work/counts.
counted() {
  local name=$1 status=0
  shift
  valgrind --tool=callgrind --callgrind-out-file="$work/$name.callgrind" "$@" \
    >"$work/$name.out" 2>"$work/$name.err" || status=$?
  # A plan that has something to send ends with 4.
  ((status == 0)) || [[ $name == plan && $status == 4 ]] || die "$name: exit $status: $(tail -n 5 "$work/$name.err")"
  printf '%s %s\n' "$name" "$(sed -n 's/.*Collected : *\([0-9]*\).*/\1/p' "$work/$name.err" | tail -n 1)" >>"$work/counts"
  if [[ -n ${KEEP_CALLGRIND:-} ]]; then cp "$work/$name.callgrind" "$data/$name.callgrind"; fi
}

# product NAME COMMAND: counts one command of the product.
product() {
  local more=()
  if [[ $2 == plan ]]; then more=(--offline); fi
  counted "$1" "$product" "$2" "${more[@]}" --mapping "$here/end_to_end/usage.toml" --csv "$csv" \
    --target "http://127.0.0.1:$port/graphql" --ledger "$work/$1.ledger/ledger.db" --rate-scale 1000000 --json
}

say "counting: $rows usage rows"
counted floor "$tools" floor --csv "$csv" --url "http://127.0.0.1:$port/graphql"
product plan plan
product import run
expect import accepted "$rows"
mv "$work/import.ledger" "$work/again.ledger"
product again run
expect again unchanged "$rows"
stop_server instructions

baseline=$here/instructions.txt
if ((record)); then
  {
    echo "# Instructions of the release program on $rows usage rows; see instructions.sh. $(rustc --version | cut -d' ' -f1,2)."
    echo "# plan: nothing known, nothing sent. import: all sent. again: nothing changed."
    echo "# floor: benches/end_to_end/floor.rs on the same rows; the others are compared as multiples of it."
    cat "$work/counts"
  } >"$baseline"
  cat "$baseline"
  exit 0
fi

[[ -f $baseline ]] || die "benches/instructions.txt is missing: benches/instructions.sh --record writes it"
# count_of NAME FILE
count_of() { awk -v name="$1" '$1 == name { print $2 }' "$2"; }
floor=$(count_of floor "$work/counts") floor_before=$(count_of floor "$baseline")
[[ -n $floor_before ]] || die "benches/instructions.txt has no count for the floor; record it"
say "  floor: $(calc "$floor / $rows" %.0f) instructions a row, $(calc "$floor / $floor_before" %.3f) of the baseline's"
say "  $(rustc --version | cut -d' ' -f1,2) here; $(head -n 1 "$baseline" | grep -o 'rustc [0-9.]*[0-9]') built the baseline"
grown=0
while read -r name count; do
  [[ $name != floor ]] || continue
  before=$(count_of "$name" "$baseline")
  [[ -n $before ]] || die "benches/instructions.txt has no count for $name; record it"
  ratio=$(calc "($count / $floor) / ($before / $floor_before)" %.3f)
  say "  $name: $(calc "$count / $rows" %.0f) instructions a row, $(calc "$count / $floor" %.2f) × the floor, $ratio of the baseline"
  if (($(holds "$ratio > $growth_max"))); then grown=1 && say "error: $name grew by more than 15 %"; fi
  if (($(holds "$ratio < 0.85"))); then say "  ($name got cheaper by more than 15 %: record the new baseline, so that it stays so)"; fi
done <"$work/counts"
exit "$grown"
