#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What a linker accepts in silence and a user finds years later, looked for in the built objects:
#
#	marks	every object carries its CPU's control-flow note (IBT, or BTI; the switch does not
#		support shadow stacks, so the library as a whole must not claim SHSTK). One file
#		without it takes the property from the whole library. The finished library is no
#		evidence: Debian's crti.o lacks the note.
#	stack	no object asks for an executable stack; one assembly file that forgets its
#		.note.GNU-stack makes every stack of the process executable.
#	hidden	every global symbol is hidden, unless lib/libusched.map exports it, and has our prefix;
#		but one whose name is the compiler's.
#	exports	the library exports what the map lists, no more and no less.
#	tls	no call of __tls_get_addr: it may allocate, and its result may not outlive a switch.
#	vectors	no 512-bit registers: they lower the clock of the user's code.
set -eu
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"

cpu=${USCHED_HOST_CPU:-$(uname -m)}
sanitizer=${USCHED_SANITIZER:-none}
map=$top/lib/libusched.map
library=$build/.libs/libusched.so
export LC_ALL=C

if [ ! -e "$library" ]; then
	echo "FAIL library: $library is not there; run make first"
	exit 1
fi

find "$build/lib" -path '*/.libs/*.o' | sort > "$scratch/objects"
case $cpu in
x86_64) mark=IBT ;;
aarch64) mark='BTI' ;;
*) mark= ;;
esac

sed -n '/global:/,/local:/p' "$map" | sed 's,/\*.*\*/,,' | grep -o 'usched_[a-z0-9_]*' |
	sort > "$scratch/listed" || true
readelf -Ws --dyn-syms "$library" |
	awk '$7 != "UND" && $5 == "GLOBAL" && $4 != "NOTYPE" && $7 != "ABS" { sub(/@.*/, "", $8); print $8 }
	     $7 != "UND" && $5 == "WEAK" && $8 ~ /^usched_/ { sub(/@.*/, "", $8); print $8 }' |
	sort -u > "$scratch/exported"
comm -23 "$scratch/listed" "$scratch/exported" |
	sed 's/$/ is in lib\/libusched.map, but not in the library/' > "$scratch/exports"
comm -13 "$scratch/listed" "$scratch/exported" |
	sed 's/$/ is in the library, but not in lib\/libusched.map/' >> "$scratch/exports"

: > "$scratch/marks"
: > "$scratch/stack"
: > "$scratch/hidden"
: > "$scratch/tls"
: > "$scratch/vectors"
while read -r object; do
	short=${object#"$build"/}
	if [ -n "$mark" ] && ! readelf -n "$object" 2>/dev/null | grep -q "$mark"; then
		echo "$short lacks the note '$mark'" >> "$scratch/marks"
	fi
	flags=$(readelf -WS "$object" | sed -n 's/.*\.note\.GNU-stack *//p' | awk '{ print (NF >= 7 ? $6 : "-") }')
	case $flags in
	'') echo "$short has no .note.GNU-stack section" >> "$scratch/stack" ;;
	*X*) echo "$short asks for an executable stack" >> "$scratch/stack" ;;
	esac
	# Sanitizers add symbols of their own, and all of them call __tls_get_addr. An object for
	# link-time optimisation holds no machine code yet. The plain build proves the rest.
	if [ "$sanitizer" != none ] || readelf -WS "$object" | grep -q '\.gnu\.lto_'; then
		continue
	fi
	readelf -Ws "$object" |
		awk -v object="$short" -v listed="$scratch/listed" '
		BEGIN { while ((getline name < listed) > 0) public[name] = 1 }
		$5 != "GLOBAL" && $5 != "WEAK" { next }
		$7 == "UND" || $8 == "" { next }
		$6 != "HIDDEN" && !($8 in public) { print object ": " $8 " is not hidden" }
		$8 !~ /^usched_/ && $8 != "__x86_return_thunk" { print object ": " $8 " lacks the prefix usched_" }' >> "$scratch/hidden"
	if readelf -Ws "$object" | grep -q '__tls_get_addr\|__tlsdesc'; then
		echo "$short calls __tls_get_addr" >> "$scratch/tls"
	fi
	if [ "$cpu" = x86_64 ] && objdump -d "$object" | grep -q '%zmm'; then
		echo "$short uses 512-bit registers" >> "$scratch/vectors"
	fi
done < "$scratch/objects"

readelf -Wl "$library" | awk '$1 == "GNU_STACK" { found = 1; if ($0 ~ / RWE? *E/ || $7 ~ /E/) bad = 1 }
	END { if (!found || bad) print "the library asks for an executable stack" }' >> "$scratch/stack"

verdict marks "$scratch/marks"
verdict stack "$scratch/stack"
verdict exports "$scratch/exports"
verdict hidden "$scratch/hidden"
verdict tls "$scratch/tls"
verdict vectors "$scratch/vectors"
exit "$failed"
