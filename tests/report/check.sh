#!/usr/bin/env bash
# The reports in a browser: their tests leave pages, hostile ones among them, and headless Chromium opens each at the width of
# a phone and of a desk, light and dark. Fails on what the browser complains about, on a request, on a script, on a page that
# is wider than the screen. Screenshots stay in target/report-pages, to be looked at.
#
# Installs Chromium on Debian. Where it can't be installed, STIGG_IMPORT_TEST_WITHOUT_CHROMIUM=1 leaves this out.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ ${STIGG_IMPORT_TEST_WITHOUT_CHROMIUM:-} == 1 ]]; then
  echo "STIGG_IMPORT_TEST_WITHOUT_CHROMIUM=1: no browser looks at the reports" >&2
  exit 0
fi
if ! command -v "${CHROMIUM:=chromium}" >/dev/null; then
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends chromium fonts-dejavu-core python3
fi
export CHROMIUM

pages=$(realpath -m "${CARGO_TARGET_DIR:-target}/report-pages")
rm -rf "$pages"
mkdir -p "$pages"
STIGG_IMPORT_TEST_PAGES=$pages cargo test --locked --quiet --test it cli::report::
python3 tests/report/look.py "$pages/screenshots" "$pages"/*.html
