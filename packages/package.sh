# Makes Debian packages of what ./dev cross builds, and tries them. Part of ../dev, which has the functions it calls.

cargo_deb=3.8.0
packages=(longrein-agent longrein-relay longrein)

package() {
    local wanted=("$@") name here=x86_64-unknown-linux-gnu
    [ ${#wanted[@]} -gt 0 ] || wanted=("${targets[@]}")
    known_targets "${wanted[@]}"
    [[ " ${wanted[*]} " != *" $here "* ]] || [ "$(id -u)" -eq 0 ] || fail "a container with systemd needs root"
    need_rust
    need_compiler
    need_cross_tools
    need_package_tools
    rm -rf "$target/package"
    say "manual pages and completions"
    cargo run --quiet --package longrein-packages -- "$target/package/share"
    for name in "${wanted[@]}"; do
        cross_build "$name"
        pack "$name"
        try_programs "$name"
    done
    [[ " ${wanted[*]} " != *" $here "* ]] || try_packages
    [ $# -gt 0 ] || passed package
}

need_package_tools() {
    local missing=()
    command -v lintian >/dev/null || missing+=(lintian)
    command -v dpkg-deb >/dev/null || missing+=(dpkg)
    install_packages "${missing[@]}"
    cargo deb --version 2>/dev/null | grep -q "$cargo_deb" || cargo install --quiet --locked --version "$cargo_deb" cargo-deb >&2
}

# The three packages of a target in target/package/deb. They are not uploaded to Debian, so no bug of Debian's is closed by them.
pack() {
    local name="$1" beside="$target/cross/$1/release/packaging" deb="$target/package/deb" program made
    say "packing for $name"
    rm -rf "$beside"
    mkdir -p "$deb"
    cp -r "$target/package/share" "$beside"
    gzip -9n "$beside"/*/man/*
    changelog | gzip -9n >"$beside/changelog.Debian.gz"
    cargo metadata --format-version 1 --locked --filter-platform "$name" >"$beside/metadata"
    for program in "${packages[@]}"; do
        "$(find_python)" packages/third_party.py "$program" <"$beside/metadata" | gzip -9n >"$beside/$program/third-party.gz"
        made="$(SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" CARGO_TARGET_DIR="$target/cross" cargo deb --quiet --package "$program" \
            --target "$name" --no-build --no-strip --output "$deb")"
        lintian --allow-root --tag-display-limit 0 --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$made" ||
            fail "lintian complains about $made"
        echo "$(basename "$made"): $(stat -c %s "$made") bytes, installed $(dpkg-deb --field "$made" Installed-Size) KiB"
    done
}

# What Debian's tools want of a change; the changes themselves are in CHANGELOG.md.
changelog() {
    local version
    version="$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
    printf 'longrein (%s-1) unstable; urgency=medium\n\n  * Version %s: see CHANGELOG.md in the sources.\n\n' "$version" "$version"
    printf ' -- The longrein contributors <contributors@longrein.example>  %s\n' "$(git log -1 --format=%cD)"
}

# The programs as they are in a target's packages.
try_programs() {
    local name="$1" folder="$target/package/unpacked/$1" program says
    mkdir -p "$folder"
    for program in "${packages[@]}"; do
        dpkg-deb --extract "$target/package/deb/$program"_*_"$(architecture "$name")".deb "$folder"
        says="$($(emulator "$name") "$folder/usr/bin/$program" --version)"
        echo "$(architecture "$name"): $says"
    done
}

architecture() {
    case "$1" in
        aarch64-*) echo arm64 ;;
        armv7-*) echo armhf ;;
        x86_64-*) echo amd64 ;;
    esac
}

# The packages of this processor in a clean Debian: installed, driven, upgraded, removed, purged.
try_packages() {
    local first="$target/package/first" second="$target/package/second" program
    mkdir -p "$first" "$second"
    cp "$target"/package/deb/*_amd64.deb "$first"
    for program in "${packages[@]}"; do
        next_version "$first/$program"_*_amd64.deb "$second"
    done
    in_container packages/test_packages.py "$target/package/container" --bind-ro="$first:/first" --bind-ro="$second:/second"
}

# A package's next version, with another example configuration.
next_version() {
    local from="$1" to="$2" tree="$target/package/next"
    rm -rf "$tree"
    dpkg-deb --raw-extract "$from" "$tree"
    sed -i 's/^Version: .*/&.1/' "$tree/DEBIAN/control"
    if [ -d "$tree/etc/longrein" ]; then
        sed -i '1i # The next version.' "$tree"/etc/longrein/*.toml
        (cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    fi
    dpkg-deb --root-owner-group --build -Zgzip -z1 "$tree" "$to" >/dev/null
}
