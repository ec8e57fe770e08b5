#!/usr/bin/env bash
# Looks whether the files of this folder hold: units by systemd, manifests by the schemas of Kubernetes, the crontab by cron, the
# rotation by logrotate, the Dockerfile by Docker. What this machine has no program for is named and left out; the schemas are installed if need be.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
left_out=()

if command -v systemd-analyze >/dev/null; then
  # The program may be installed elsewhere or nowhere; everything else is looked at as it is.
  for unit in systemd/*; do
    sed "s#^ExecStart=[^ ]*#ExecStart=$(command -v true)#" "$unit" >"$work/$(basename "$unit")"
  done
  # Without its man pages: a machine for building has none.
  # What it only complains about, it would leave out when it counts.
  complaints=$(systemd-analyze verify --man=no "$work"/*.service "$work"/*.timer 2>&1) || complaints+=$'\nit does not hold'
  [[ -z $complaints ]] || { printf 'systemd: %s\n' "$complaints"; exit 1; }
  systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' systemd/stigg-import.timer)" >/dev/null
  echo "systemd: holds"
else
  left_out+=(systemd-analyze)
fi

if ! python3 -c 'import venv, ensurepip' 2>/dev/null && command -v apt-get >/dev/null; then
  sudo=; ((EUID == 0)) || sudo=sudo
  $sudo apt-get install --yes --no-install-recommends python3-venv >/dev/null
fi
if python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet 'kubernetes-validate>=1.31'; then
  # Strict: a key that no schema knows is a mistake.
  "$work/venv/bin/kubernetes-validate" --strict kubernetes/*.yaml
else
  left_out+=(kubernetes-validate)
fi

# Five fields and a command; what a minute or an hour may be is cron's to say.
lines=$(grep -cvE '^(#|$)' crontab)
[[ $lines == 1 ]] && grep -qE '^([0-9*/,-]+ +){5}.*sync .*--once' crontab || { echo "crontab: not a line of five fields"; exit 1; }
if command -v crontab >/dev/null && crontab -T crontab 2>/dev/null; then
  echo "crontab: holds, says cron"
else
  echo "crontab: holds"
fi

if command -v logrotate >/dev/null; then
  # Who it is for is not on this machine.
  sed -e '/^ *su /d' -e '/^ *create /d' logrotate >"$work/logrotate"
  chmod 644 "$work/logrotate"
  complaints=$(logrotate --debug --state "$work/state" "$work/logrotate" 2>&1 | grep -i error || true)
  [[ -z $complaints ]] || { echo "logrotate: $complaints"; exit 1; }
  echo "logrotate: holds"
else
  left_out+=(logrotate)
fi

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  docker build --check -f Dockerfile ..
else
  left_out+=(docker)
fi

((${#left_out[@]} == 0)) || echo "not on this machine, and left out: ${left_out[*]}"
