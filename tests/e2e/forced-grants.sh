#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# grants.sh with the POSIX timer tick and mprotect guards, as forced.sh has them.
export USCHED_TICK=timer USCHED_GUARD=mprotect
exec "$(dirname "$0")/grants.sh"
