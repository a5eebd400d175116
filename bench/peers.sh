# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced by bench/run: builds the programs of peers, from Debian's packages only, when a workload
# wants them. A source bench/<peer>_<family>.<ext> becomes $peers/<peer>_<family>.

declare -A said

say_once() { # KEY TEXT
	[ -z "${said[$1]:-}" ] || return 0
	said[$1]=1
	echo "# $2" >&2
}

# Debian's crates need Debian's compiler, whatever else is on the PATH, and no network.
build_tokio() { # PROGRAM SOURCE
	local project=$peers/tokio source name
	mkdir -p "$project/.cargo"
	cat >"$project/.cargo/config.toml" <<-END
		[source.crates-io]
		replace-with = "debian"
		[source.debian]
		directory = "/usr/share/cargo/registry"
	END
	cat >"$project/Cargo.toml" <<-END
		[package]
		name = "peers"
		version = "0.0.0"
		edition = "2021"
		[dependencies]
		tokio = { version = "1", features = ["rt-multi-thread", "net", "io-util", "time"] }
	END
	for source in "$here"/tokio_*.rs; do
		name=${source##*/}
		printf '[[bin]]\nname = "%s"\npath = "%s"\n' "${name%.rs}" "$source" >>"$project/Cargo.toml"
	done
	(cd "$project" && env -u RUSTFLAGS CARGO_HOME="$project/home" RUSTC=/usr/bin/rustc \
		CARGO_TARGET_DIR="$project/target" /usr/bin/cargo build --offline --release \
		--bin "${1##*/}") && cp "$project/target/release/${1##*/}" "$1"
}

build_boost() { # PROGRAM SOURCE
	g++ -O2 -DNDEBUG -o "$1" "$2" -lboost_fiber -lboost_context -lpthread
}

build_go() { # PROGRAM SOURCE
	GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=$peers/cache go build -o "$1" "$2"
}

# Its packages, when they are not there.
lacking() { # SYSTEM
	case $1 in
	boost)
		if ! command -v g++ >/dev/null || [ ! -e /usr/include/boost/fiber/all.hpp ]; then
			echo "libboost-fiber-dev and g++"
		fi ;;
	go) command -v go >/dev/null || echo "golang-go" ;;
	tokio)
		if [ ! -x /usr/bin/cargo ] || ! compgen -G '/usr/share/cargo/registry/tokio-1.*' >/dev/null; then
			echo "cargo and librust-tokio-dev"
		fi ;;
	esac
}

# Succeeds when the program of SYSTEM is there; it is built now if it is older than its source.
peer() { # SYSTEM FAMILY
	local program=$peers/$1_$2 source packages
	case $1 in
	boost) source=$here/$1_$2.cpp ;;
	go) source=$here/$1_$2.go ;;
	tokio) source=$here/$1_$2.rs ;;
	*) return 0 ;;
	esac
	packages=$(lacking "$1")
	if [ -n "$packages" ]; then
		say_once "$1" "$1 is left out: install $packages"
		return 1
	fi
	[ ! "$program" -nt "$source" ] || return 0
	[ -z "${said[$1_$2]:-}" ] || return 1
	if ! "build_$1" "$program" "$source" >"$program.log" 2>&1; then
		say_once "$1_$2" "$1 is left out: its program could not be built, see $program.log"
		return 1
	fi
}
