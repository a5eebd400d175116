#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each header compiles alone, so that the order of includes never matters. The public ones also
# compile as strict C11, and as C++ where a C++ compiler is installed, since services include them
# with flags of their own.
set -eu
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"

compiler=${CC:-cc}
cd "$top"
export LC_ALL=C

# try HEADER COMPILER FLAGS...: the header is named by -include, so that its include guard is used.
try()
{
	header=$1
	shift
	# shellcheck disable=SC2086 # a list of flags
	"$@" ${USCHED_CPPFLAGS:-} -fsyntax-only -Iinclude -Ilib -include "$header" "$scratch/empty.$suffix" \
		2>> "$complaints" || wrong "$header does not compile alone"
}

: > "$scratch/empty.c"
: > "$scratch/empty.cc"

# A header of another CPU's folder is that build's to check.
suffix=c
for header in $(find include lib -name '*.h' ! -path "lib/arch/*/*" | sort); do
	# shellcheck disable=SC2086 # CC may carry flags
	try "$header" $compiler -std=gnu11 -D_GNU_SOURCE=1 -DUSCHED_DEBUG=0 -DUSCHED_ASAN=0 \
		-DUSCHED_TSAN=0 -DUSCHED_ARCH_GENERIC=0 -Wall -Wextra -Wundef -Werror
done
verdict every_header_compiles_alone

for header in include/usched/*.h; do
	# shellcheck disable=SC2086
	try "$header" $compiler -std=c11 -Wall -Wextra -Wpedantic -Wundef -Werror
done
verdict public_headers_are_strict_c11

# What an inlined function of the library does to a program, include/usched/usched.h says.
grep -n '^[a-z].*[ *]usched_[a-z_]*(' include/usched/usched.h >> "$complaints" &&
	wrong "include/usched/usched.h declares a function without USCHED_API"
verdict public_functions_are_never_inlined

suffix=cc
if command -v c++ > /dev/null; then
	for header in include/usched/*.h; do
		try "$header" c++ -std=c++11 -Wall -Wextra -Werror
	done
	verdict public_headers_are_cxx
else
	echo "skip public_headers_are_cxx: no-tool: no C++ compiler is installed"
fi
exit "$failed"
