#!/usr/bin/env bash
# Reads 2 GB (or MEGABYTES) of JSON as a top-level array, as an object with an array, and as lines, and fails if `plan` takes more
# than 64 MiB and 32 bytes for each record: a record here is about 2 KB, nested.
#
#   benches/json_memory.sh [MEGABYTES]
#
# Needs a Rust toolchain, GNU time (installed on Debian where it is missing), and room for one such file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$(dirname "$here")"
# shellcheck source=benches/end_to_end/run.sh
source "$here/end_to_end/run.sh"

megabytes=${1:-2000}
[[ -x /usr/bin/time ]] || { apt-get update -q && apt-get install -yq time; } >/dev/null || die "GNU time is needed: apt-get install time"
[[ -n ${PRODUCT:-} ]] || { say "building" && cargo build --locked --release --quiet --bin stigg-import; }
product=${PRODUCT:-${CARGO_TARGET_DIR:-target}/release/stigg-import}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
records=$((megabytes * 500))
printf 'entity = "customer"\n[fields]\ncustomerId = "id"\nname = "profile.name"\nadditionalMetaData.note = "notes[1].text"\n' >"$work/m.toml"

# written BEFORE BETWEEN AFTER: the file's name; records of about 2 KB, joined by BETWEEN.
written() {
  awk -v n="$records" -v before="$1" -v between="$2" -v after="$3" 'BEGIN {
    pad = sprintf("%900s", ""); gsub(/ /, "x", pad)
    printf "%s", before
    for (i = 1; i <= n; i++) {
      if (i > 1) printf "%s", between
      printf "{\"id\":\"c%d\",\"profile\":{\"name\":\"Name %d\",\"pad\":\"%s\"},\"notes\":[{\"text\":\"a\"},{\"text\":\"b\"}],\"rest\":\"%s\"}", i, i, pad, pad
    }
    print after
  }' >"$work/data.json"
}

failed=0
while IFS='|' read -r form before between after; do
  # awk reads \n in it as a line end.
  written "$before" "$between" "$after"
  bytes=$(stat -c %s "$work/data.json")
  /usr/bin/time -f '%M %e' -o "$work/time" "$product" plan --mapping "$work/m.toml" --json "$work/data.json" \
    --offline --ledger "$work/none/ledger.db" --json >"$work/out" || (($? == 4)) || die "$form: $(cat "$work/out")"
  [[ $(number records "$work/out") == "$records" || $(tr -d '\n ' <"$work/out") == *"\"records\":$records"* ]] || die "$form: not every record was read"
  read -r peak_kib seconds <"$work/time"
  allowed_kib=$((64 * 1024 + 32 * records / 1024))
  say "$form: $((bytes / 1000000)) MB, $records records in $seconds s, peak $((peak_kib / 1024)) MiB (at most $((allowed_kib / 1024)))"
  ((peak_kib <= allowed_kib)) || failed=1
done <<'FORMS'
array|[|,|]
object|{"meta":{"rows":[1,2]},"customers":[|,|]}
lines||\n|
FORMS
exit "$failed"
