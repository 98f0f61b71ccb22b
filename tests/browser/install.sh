#!/usr/bin/env bash
# Installs Chromium and its driver from Debian's packages, where they are absent; needs root then.
set -uo pipefail
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
for attempt in 1 2 3; do
  apt-get update && apt-get install -y --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core && exit 0
  echo "apt-get failed (attempt ${attempt} of 3)" >&2
  sleep 5
done
echo "Chromium is not here and apt-get could not install it: the report and review pages are NOT" \
  "tested in a browser. Install chromium and chromium-driver, then run: make test-browser" >&2
exit 1
