# Part of ./dev: the units under a real systemd (systemd/README.md).

# The tree of a Debian with systemd, as old as this one so that the programs run in it; made once.
need_tree() {
    local tree="$1" packages=systemd,systemd-sysv,dbus,python3-minimal,libpython3-stdlib,procps,needrestart missing=()
    [ ! -e "$tree/made-of-$packages" ] || return 0
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    install_packages "${missing[@]}"
    say "making $tree"
    rm -rf "$tree"
    mkdir -p "$(dirname "$tree")"
    mmdebstrap --quiet --variant=minbase --include="$packages" "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$tree" >&2
    touch "$tree/made-of-$packages"
}

# The units under a real systemd.
system() {
    [ "$(id -u)" -eq 0 ] || fail "a container with systemd needs root"
    need_rust
    need_compiler
    build_programs
    in_container systemd/test_units.py "$target/system/out" --bind-ro="$target/debug:/programs"
    passed system
}

# Runs a test of this repository in a Debian with a real systemd, and nspawn with what else is given. A run leaves the tree as it is, and
# nothing of the container is left after it.
in_container() {
    local test="$1" out="$2" tree="$target/system/tree" container status=0
    shift 2
    [ "$(id -u)" -eq 0 ] || fail "a container with systemd needs root"
    command -v systemd-nspawn >/dev/null || install_packages systemd-container
    need_tree "$tree"
    rm -rf "$out"
    mkdir -p "$out"
    cat >"$tree/etc/systemd/system/longrein-test.service" <<UNIT
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -B /source/$test
StandardOutput=truncate:/out/report.txt
StandardError=truncate:/out/errors.txt
UNIT
    say "booting systemd in $tree"
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=10 300 \
        systemd-nspawn --quiet --boot --directory="$tree" --volatile=overlay --private-network --register=no --keep-unit \
        --bind="$out:/out" --bind-ro="$PWD:/source" "$@" \
        systemd.unit=multi-user.target systemd.wants=longrein-test.service </dev/null >"$out/console.log" 2>&1 &
    container=$!
    trap 'kill "$container" 2>/dev/null || true' EXIT
    wait "$container" || status=$?
    trap - EXIT
    cat "$out/report.txt" "$out/errors.txt" 2>/dev/null || true
    [ -s "$out/report.txt" ] || { tail -n 20 "$out/console.log" >&2; fail "the container said nothing (exit $status)"; }
    tail -n 1 "$out/report.txt" | grep -q 'checks passed, 0 failed$' || fail "see above, and $out/console.log"
}
