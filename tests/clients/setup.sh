#!/usr/bin/env bash
# Makes the environments in which foreign clients and real servers run for the tests marked `clients`.
#
#   tests/clients/setup.sh
#
# They lie under ${INTENDED_CI_CACHE:-.cache}/clients, apart from the project's own: their dependencies would not fit
# into one. Running it again does nothing for what is there already; a changed version, also of Python, makes it anew.
#
#   mcp-v1/     the Python SDK before its second version     fastmcp/    FastMCP's client
#   servers/    mcp-server-git, mcp-server-time              node/       the TypeScript SDKs, npm servers
#   langchain/, pydantic-ai/   the frameworks, for the guards of our own client
#   langchain-mcp/, openai-agents/   the frameworks as MCP clients, with their defaults
#   prometheus/                Prometheus and promtool, for dashboard and alerts
#   intended-pypi/             the client that PyPI has under the name `intended`, with what its guards wrap
#
# PYTHON names the Python that makes the environments (default: python3); uv is used where it is installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${INTENDED_CI_CACHE:-$root/.cache}
mkdir -p "$cache/clients"
cache=$(cd "$cache" && pwd)
# shellcheck source=tests/node.sh
source "$here/../node.sh"

python_environment() { # name requirement...
  local folder=$cache/clients/$1 made_of
  shift
  made_of="$("${PYTHON:-python3}" --version): $*"
  [[ "$(cat "$folder/.made-of" 2>/dev/null)" == "$made_of" ]] && return 0
  echo "clients: installing $*"
  rm -rf "$folder"
  "${PYTHON:-python3}" -m venv "$folder"
  # uv where it is installed and reaches an index, which it does not always look for where pip does.
  { command -v uv && uv pip install --quiet --python "$folder/bin/python" "$@"; } >/dev/null 2>&1 ||
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  echo "$made_of" >"$folder/.made-of"
}

debian_environment() { # name package: what a Debian package has, unpacked; nothing is installed and nothing started
  local folder=$cache/clients/$1
  [[ "$(cat "$folder/.made-of" 2>/dev/null)" == "$2" ]] && return 0
  echo "clients: fetching $2"
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && { apt-get download -qq "$2" || { apt-get update -qq && apt-get download -qq "$2"; }; } && dpkg-deb -x ./*.deb . && rm -f ./*.deb)
  echo "$2" >"$folder/.made-of"
}

node_environment() {
  local folder=$cache/clients/node
  cmp -s "$here/node/package.json" "$folder/.made-of" && return 0
  echo "clients: installing the npm packages of tests/clients/node/package.json"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$here/node/package.json" "$folder/package.json"
  (cd "$folder" && npm install --no-audit --no-fund --ignore-scripts --no-package-lock --loglevel=error)
  cp "$here/node/package.json" "$folder/.made-of"
}

ensure_node "$cache/node"
python_environment mcp-v1 mcp==1.30.0
python_environment fastmcp fastmcp==4.1.2
python_environment langchain-mcp langchain-mcp-adapters==0.3.2
python_environment openai-agents openai-agents==0.24.0
python_environment servers mcp-server-git==2026.10.19 mcp-server-time==2026.10.19
python_environment langchain langchain==1.4.7 httpx==0.28.1
python_environment pydantic-ai 'pydantic-ai-slim[openai]==2.68.0' httpx==0.28.1
python_environment intended-pypi intended==0.2.1 langchain-core==1.7.2
debian_environment prometheus prometheus
node_environment
command -v node >"$cache/clients/node-path"
