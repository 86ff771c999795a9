#!/bin/bash
# Runs the MCP conformance server suite against one URL and prints one line per scenario, then one totals line.
#
#   mcp-conformance.sh URL [UPSTREAM_URL]
#
# URL           the MCP endpoint to test, e.g. http://127.0.0.1:8000/mcp (our gateway, a proxy, or a bare server)
# UPSTREAM_URL  optional: the server that stands behind URL. It is run too, and every check that passes there and
#               does not pass through URL is printed as LOST. (A scenario can pass with fewer checks, or on its
#               negative checks alone, when a proxy answers everything with errors; LOST is what shows that.)
#
# Environment:
#   MCP_CONFORMANCE_HOME     where the npm package goes (default: conformance under ${INTENDED_CI_CACHE:-.cache})
#   MCP_CONFORMANCE_VERSION  package version (default 0.2.0-alpha.12)
#   MCP_CONFORMANCE_REVS     spec revisions to run (default "2025-11-25 2026-07-28")
#   MCP_CONFORMANCE_TIMEOUT  milliseconds per scenario (default 30000)
#   MCP_CONFORMANCE_OUT      keep the raw results in this folder (default: thrown away)
#
# Exit status: 0 when every required scenario passes (and, with UPSTREAM_URL, no required check is lost), 1 when
# not, 2 when the suite could not be run.
set -euo pipefail

url=${1:-} upstream=${2:-}
[[ -n "$url" ]] || { sed -n '2,/^set -e/p' "$0" | sed '$d;s/^# \{0,1\}//' >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${INTENDED_CI_CACHE:-$here/../../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
home=${MCP_CONFORMANCE_HOME:-$cache/conformance}
version=${MCP_CONFORMANCE_VERSION:-0.2.0-alpha.12}
revs=${MCP_CONFORMANCE_REVS:-2025-11-25 2026-07-28}
timeout_ms=${MCP_CONFORMANCE_TIMEOUT:-30000}

# --- the package, and a Node that can run it (it needs Node 22: fs.globSync) -------------------------------------
main=$home/node_modules/@modelcontextprotocol/conformance/dist/index.js
have=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "${main%/dist/*}/package.json" 2>/dev/null || true)
# shellcheck source=tests/node.sh
source "$here/../node.sh"
ensure_node "$cache/node" || exit 2
node=node
if [[ "$have" != "$version" ]]; then
  mkdir -p "$home"
  [[ -f "$home/package.json" ]] || echo '{"private":true}' >"$home/package.json"
  (cd "$home" && npm install --no-audit --no-fund --no-save --ignore-scripts --loglevel=error \
    "@modelcontextprotocol/conformance@$version" >install.log 2>&1) ||
    { echo "cannot install the conformance suite $version:" >&2; tail -5 "$home/install.log" >&2; exit 2; }
  [[ -f "$main" ]] || { echo "no conformance package after installing into $home" >&2; exit 2; }
fi

out=${MCP_CONFORMANCE_OUT:-}
if [[ -z "$out" ]]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
mkdir -p "$out"

# --- run ----------------------------------------------------------------------------------------------------------
# With nothing listening the suite still reports some passes (checks that expect an error), so that is ruled out here.
answers() {
  "$node" -e 'fetch(process.argv[1], {signal: AbortSignal.timeout(10000)}).then(() => process.exit(0), () => process.exit(1))' "$1" ||
    { echo "nothing answers HTTP at $1" >&2; exit 2; }
}
answers "$url"
[[ -z "$upstream" ]] || answers "$upstream"

run() { # name url
  local rev
  for rev in $revs; do
    rm -rf "${out:?}/$1-$rev"
    mkdir -p "$out/$1-$rev"
    (cd "$home" && "$node" "$main" server --url "$2" --requirements "$rev" --timeout "$timeout_ms" \
      -o "$out/$1-$rev") >"$out/$1-$rev.log" 2>&1 || true
    grep -q '^Total: ' "$out/$1-$rev.log" ||
      { echo "the suite did not finish for $2 at $rev:" >&2; tail -5 "$out/$1-$rev.log" >&2; exit 2; }
  done
}
run test "$url"
[[ -z "$upstream" ]] || run upstream "$upstream"

# --- report -------------------------------------------------------------------------------------------------------
OUT="$out" REVS="$revs" UP="$upstream" "$node" - <<'JS'
const fs = require('fs'), path = require('path');
const { OUT, REVS, UP } = process.env;
function load(name, rev) {
  const text = fs.readFileSync(path.join(OUT, `${name}-${rev}.log`), 'utf8');
  const scenarios = new Map();
  const body = text.slice(text.indexOf('=== SUMMARY ==='));
  for (const m of body.matchAll(/^(\S) (\S+): (\d+) passed, (\d+) failed/gm))
    scenarios.set(m[2], { ok: m[4] === '0', passed: +m[3], failed: +m[4], skipped: 0, reason: 'required', good: new Map(), bad: [] });
  for (const m of body.matchAll(/^  \S (\S+) \((extension|added-after-release|pending)\)/gm))
    if (scenarios.has(m[1])) scenarios.get(m[1]).reason = m[2];
  const dir = path.join(OUT, `${name}-${rev}`);
  for (const d of fs.readdirSync(dir)) {
    const s = scenarios.get(d.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, ''));
    const file = path.join(dir, d, 'checks.json');
    if (!s || !fs.existsSync(file)) continue;
    for (const c of JSON.parse(fs.readFileSync(file, 'utf8'))) {
      if (c.status === 'SUCCESS') s.good.set(c.id, (s.good.get(c.id) || 0) + 1);
      else if (c.status === 'FAILURE') s.bad.push(`${c.id}: ${(c.errorMessage || '').split('\n')[0].slice(0, 160)}`);
      else if (c.status === 'SKIPPED') s.skipped++;
    }
  }
  return scenarios;
}
const totals = []; let allOk = true;
for (const rev of REVS.split(/\s+/).filter(Boolean)) {
  const test = load('test', rev), up = UP ? load('upstream', rev) : null;
  let req = 0, reqOk = 0, extra = 0, extraOk = 0, p = 0, f = 0, lost = 0, lostReq = 0;
  for (const [name, s] of test) {
    p += s.passed; f += s.failed;
    if (s.reason === 'required') { req++; if (s.ok) reqOk++; } else { extra++; if (s.ok) extraOk++; }
    console.log(`${s.ok ? 'PASS' : 'FAIL'} ${rev} ${name} [${s.reason}] passed=${s.passed} failed=${s.failed}${s.skipped ? ` skipped=${s.skipped}` : ''}`);
    for (const b of s.bad) console.log(`     - ${b}`);
    const u = up && up.get(name);
    if (u) for (const [id, n] of u.good) if ((s.good.get(id) || 0) < n) {
      const k = n - (s.good.get(id) || 0);
      lost += k; if (s.reason === 'required') lostReq += k;
      console.log(`LOST ${rev} ${name} ${id}${k > 1 ? ` x${k}` : ''}`);
    }
  }
  if (reqOk < req || lostReq) allOk = false;
  totals.push(`${rev}: required ${reqOk}/${req}, other ${extraOk}/${extra}, checks passed ${p} failed ${f}` + (up ? `, lost ${lost} (required ${lostReq})` : ''));
}
console.log(`TOTAL ${totals.join(' | ')}`);
process.exitCode = allOk ? 0 : 1;
JS
