#!/usr/bin/env bash
# Runs the official conformance suite through the gateway and against the bare server behind it, and compares.
#
#   tests/conformance/run.sh [http|stdio]      how the gateway reaches the server (default: http)
#
# The gateway allows everything (allow-all, tier T4), has one upstream, needs no credentials and binds loopback. Exit
# status as of mcp-conformance.sh: 0 only where every required scenario passes and no required check is lost.
# PYTHON names the Python with the project installed (default: python3).
set -euo pipefail

way=${1:-http}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

announced() { # file pattern field pid: waits for the line in which a process says where it is
  local tries=150
  until grep -q "$2" "$1"; do
    kill -0 "$4" 2>/dev/null && ((tries-- > 0)) || { echo "not started:" >&2; tail -15 "$1" >&2; exit 2; }
    sleep 0.2
  done
  awk -v field="$3" "/$2/{print \$field; exit}" "$1"
}

cd "$root"
"$python" -m tests.fixtures.everything_server --port 0 >"$work/server.log" 2>&1 &
pids+=($!)
upstream=$(announced "$work/server.log" '^ready' 2 $!)

behind=("$upstream")
if [[ "$way" == stdio ]]; then
  behind=(-- env "PYTHONPATH=$root" "$(command -v "$python")" -m tests.fixtures.everything_server --stdio)
fi
"$python" -m gateway run --port 0 --data "$work/data" --state "$work/state" --policies policies/allow-all.yaml \
  --tier local=T4 "${behind[@]}" >"$work/gateway.log" 2>&1 &
pids=($! "${pids[@]}") # the gateway stops before what is behind it
url=$(announced "$work/gateway.log" 'agent URL' 3 $!)

"$here/mcp-conformance.sh" "$url" "$upstream" || { status=$?; tail -20 "$work/gateway.log" >&2; exit "$status"; }
