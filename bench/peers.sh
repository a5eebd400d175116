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
	esac
}

# Succeeds when the program of SYSTEM is there; it is built now if it is older than its source.
peer() { # SYSTEM FAMILY
	local program=$peers/$1_$2 source packages
	case $1 in
	boost) source=$here/$1_$2.cpp ;;
	go) source=$here/$1_$2.go ;;
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
