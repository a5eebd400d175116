# SPDX-License-Identifier: MIT
#
# Manual pages:
#	dist_man_MANS += man/usched.7
