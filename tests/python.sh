# Sourced: `python_of VERSION` prints the machine's Python of that version, such as 3.13, that can make environments.
#
# Beside what is on the path it looks where pyenv keeps its own: there the path has a stand-in that may refuse.

python_of() {
  local candidate
  for candidate in "$(command -v "python$1")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    [[ -x $candidate ]] || continue
    "$candidate" -c 'import ensurepip, sqlite3, ssl, venv' 2>/dev/null && { echo "$candidate"; return 0; }
  done
  return 1
}
