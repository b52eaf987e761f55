# Builds the programs for other processors, and runs them here as if on those. Part of ../dev, which has the functions it calls.

# What devices have had since 2018: Debian 10, Ubuntu 18.10, Yocto 2.6.
glibc=2.28
targets=(aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf x86_64-unknown-linux-gnu)

cross() {
    local wanted=("$@") name
    [ ${#wanted[@]} -gt 0 ] || wanted=("${targets[@]}")
    known_targets "${wanted[@]}"
    need_rust
    need_compiler
    need_cross_tools
    need_network
    build_programs
    cargo test --package longrein-tests --test processes --no-run --quiet
    for name in "${wanted[@]}"; do
        cross_build "$name"
        [ "$name" = x86_64-unknown-linux-gnu ] || cross_try "$name"
    done
    [ $# -gt 0 ] || passed cross
}

known_targets() {
    local name
    for name in "$@"; do
        [[ " ${targets[*]} " == *" $name "* ]] || fail "no such target: $name; there are ${targets[*]}"
    done
}

# zig is the C compiler and linker for every target, with the headers of that glibc.
need_cross_tools() {
    local venv="$target/venv-cross" missing=() name
    command -v qemu-arm-static >/dev/null || missing+=(qemu-user-static)
    command -v readelf >/dev/null || missing+=(binutils)
    [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] || missing+=(libc6-arm64-cross)
    [ -e /usr/arm-linux-gnueabihf/lib/libc.so.6 ] || missing+=(libc6-armhf-cross)
    install_packages "${missing[@]}"
    for name in "${targets[@]}"; do
        rustup target list --installed | grep -qx "$name" || rustup target add "$name" >&2
    done
    if ! cmp -s cross/requirements.txt "$venv/installed.txt"; then
        find_python >/dev/null || install_packages python3 python3-venv
        say "making $venv"
        rm -rf "$venv"
        mkdir -p "$target"
        "$(find_python)" -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check --prefer-binary --no-deps -r cross/requirements.txt >&2
        cp cross/requirements.txt "$venv/installed.txt"
    fi
}

zigbuild() { PATH="$target/venv-cross/bin:$PATH" cargo-zigbuild "$@" --target-dir "$target/cross"; }

# The release programs; what they weigh, and which glibc they need at least.
cross_build() {
    local name="$1" program needs newest
    say "building for $name"
    zigbuild build --release --target "$name.$glibc" --bins --package longrein-agent --package longrein-relay --package longrein >&2
    for program in longrein-agent longrein-relay longrein; do
        needs="$(readelf --version-info --wide "$target/cross/$name/release/$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)"
        newest="$(printf '%s\n' "$needs" "GLIBC_$glibc" | sort -V | tail -1)"
        [ "$newest" = "GLIBC_$glibc" ] || fail "$program for $name needs $needs"
        echo "$name $program: $(stat -c %s "$target/cross/$name/release/$program") bytes, $needs"
    done
}

# What runs a target's programs here: nothing for this machine's own.
emulator() {
    case "$1" in
        aarch64-*) echo "qemu-aarch64-static -L /usr/aarch64-linux-gnu" ;;
        armv7-*) echo "qemu-arm-static -L /usr/arm-linux-gnueabihf" ;;
    esac
}

# The tests of the protocol, and a vehicle's drive over two poor links with this target's agent, each in an emulated processor. The
# relays and the controller are this machine's.
cross_try() {
    local name="$1" emulator folder="$target/cross/$1/fleet" tests
    emulator="$(emulator "$name")"
    $emulator "$target/cross/$name/release/longrein" --version
    $emulator "$target/cross/$name/release/longrein-relay" --version
    say "tests of the protocol, emulated"
    tests="$(zigbuild test --target "$name.$glibc" --package longrein-proto --lib --no-run 2>&1 | tee /dev/stderr |
        sed -n 's/.*(\(.*\))$/\1/p' | tail -1)"
    tests="$(realpath "$tests")"
    (cd proto && $emulator "$tests" --quiet)
    say "a drive over two links that lose a half, emulated"
    rm -rf "$folder"
    mkdir -p "$folder/deps"
    ln "$target/debug/longrein" "$target/debug/longrein-relay" "$folder"
    printf '#!/bin/sh\nexec %s %s/cross/%s/release/longrein-agent "$@"\n' "$emulator" "$target" "$name" >"$folder/longrein-agent"
    chmod +x "$folder/longrein-agent"
    ln "$(newest_processes)" "$folder/deps/processes"
    (cd tests && "$folder/deps/processes" --nocapture wan_drive::a_drive_over_links_that_lose_half)
}

newest_processes() { find "$target/debug/deps" -name 'processes-*' -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2; }
