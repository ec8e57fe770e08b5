#!/usr/bin/env bash
# The time left, as a run tells it: 150,000 usage records into the sandbox at the published limits, some two and a half minutes.
# Fails if after the first minute one of the lines was wrong by more than a tenth of the time that the rest of the step took (and
# by more than a second).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet
program=$(realpath "${CARGO_TARGET_DIR:-target}")/release/stigg-import
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 - <<'PY'
with open("customers.csv", "w") as out:
    out.write("id\n" + "".join(f"cus-{number}\n" for number in range(1500)))
with open("usage.csv", "w") as out:
    out.write("customer,feature,value\n")
    out.writelines(f"cus-{number % 1500},feature-{number // 1500},{number}\n" for number in range(150_000))
PY
printf 'entity = "customer"\n[fields]\ncustomerId = "id"\n' >customers.toml
printf 'entity = "usage"\n[fields]\ncustomerId = "customer"\nfeatureId = "feature"\nvalue = "value"\n' >usage.toml
cat >pipeline.toml <<'TOML'
[[step]]
name = "customers"
mapping = "customers.toml"
source = { csv = "customers.csv" }
[[step]]
name = "usage"
mapping = "usage.toml"
source = { csv = "usage.csv" }
TOML
"$program" sandbox --port 0 --quiet >sandbox &
pids+=($!)
for _ in {1..100}; do [[ -s sandbox ]] && break; sleep 0.1; done
"$program" run pipeline.toml --target "$(<sandbox)" --json >out.json 2>log || { cat log; exit 1; }

python3 - <<'PY'
import json, re, sys
step = json.load(open("out.json"))["steps"][1]
assert step["accepted"] == 150_000, step
def seconds(text):
    return sum(float(number.replace(",", "")) * {"h": 3600, "min": 60, "s": 1}[unit]
               for number, unit in re.findall(r"([\d,.]+) (h|min|s)\b", text))
told, worst = 0, 0.0
for line in open("log"):
    found = re.search(r"^usage \(step 2 of 2\): .* · ([^·]*), about (.*) left$", line.strip())
    if not found or seconds(found[1]) < 60:
        continue
    told += 1
    left = step["duration_s"] - seconds(found[1])
    wrong = abs(seconds(found[2]) - left)
    worst = max(worst, wrong / left if wrong > 1 else 0)
    print(f"after {found[1]}: about {found[2]} left; it was {left:.1f} s")
print(f"{told} lines after the first minute, wrong by at most {worst:.1%}")
sys.exit(told < 5 or worst > 0.1)
PY
