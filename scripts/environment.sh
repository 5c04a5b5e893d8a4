# Sourced by the scripts here: the checkout's folder in $root, and Node 24 first on PATH where the machine's own is older.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

node_is_new_enough() {
  local major
  major="$("${1:-node}" -p 'process.versions.node.split(".")[0]' 2>/dev/null)" && [ "$major" -ge 24 ]
}

if ! node_is_new_enough && [ -x "$root/tools/runtime/node_modules/.bin/node" ]; then
  PATH="$root/tools/runtime/node_modules/.bin:$PATH"
  export PATH
fi
# What a shell happens to hold must not reach the program (S-42), nor make a test run differ from the next.
unset NODE_OPTIONS NODE_ENV
