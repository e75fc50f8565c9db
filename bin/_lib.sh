# What the scripts of this folder share; sourced, never run. Everything happens below the folder that holds bin/ and conf/.

HERE="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)"
HOME_DIR="$(dirname "$HERE")"

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

# Our program: OVATE_BIN, beside this script (as `just dist` packs it), the path, or what cargo built last.
find_ovate() {
  local target="${CARGO_TARGET_DIR:-$HOME_DIR/target}" candidate
  if [ -n "${OVATE_BIN:-}" ]; then
    [ -x "$OVATE_BIN" ] || fail "OVATE_BIN=$OVATE_BIN is no program"
    echo "$OVATE_BIN"; return
  fi
  for candidate in "$HERE/ovate" "$target/dist/ovate" "$target/release/ovate" "$target/debug/ovate" "$(command -v ovate || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then echo "$candidate"; return; fi
  done
  fail "cannot find the program ovate; build it (cargo build --release -p ovate-node) or set OVATE_BIN"
}
