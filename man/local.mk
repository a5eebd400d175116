# SPDX-License-Identifier: MIT
#
# Manual pages, and the tests that keep them and the documents true. Each public function has a file
# with its name; where one page tells of several functions, the others are links (`.so man3/...`).

dist_man_MANS += \
	man/usched.7 \
	man/usched_accept.3 \
	man/usched_after.3 \
	man/usched_channel_close.3 \
	man/usched_channel_create.3 \
	man/usched_channel_free.3 \
	man/usched_channel_receive.3 \
	man/usched_channel_send.3 \
	man/usched_close.3 \
	man/usched_connect.3 \
	man/usched_detach.3 \
	man/usched_join.3 \
	man/usched_listen.3 \
	man/usched_mutex_init.3 \
	man/usched_mutex_lock.3 \
	man/usched_mutex_unlock.3 \
	man/usched_now.3 \
	man/usched_read.3 \
	man/usched_runtime_create.3 \
	man/usched_runtime_current.3 \
	man/usched_runtime_destroy.3 \
	man/usched_runtime_set_quantum.3 \
	man/usched_self.3 \
	man/usched_sleep_until.3 \
	man/usched_spawn.3 \
	man/usched_version.3 \
	man/usched_write.3 \
	man/usched_yield.3

test_scripts += tests/man-lint.sh
EXTRA_DIST += examples/hello.c
