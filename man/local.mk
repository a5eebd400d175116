# SPDX-License-Identifier: MIT
#
# Manual pages, and the tests that keep them and the documents true. Each public function has a file
# with its name; where one page tells of several functions, the others are links (`.so man3/...`).

dist_man_MANS += \
	man/schedctl.1 \
	man/usched.7 \
	man/usched_accept.3 \
	man/usched_after.3 \
	man/usched_channel_close.3 \
	man/usched_channel_create.3 \
	man/usched_channel_free.3 \
	man/usched_channel_receive.3 \
	man/usched_channel_send.3 \
	man/usched_checkpoint.3 \
	man/usched_client_close.3 \
	man/usched_client_daemon_status.3 \
	man/usched_client_directory.3 \
	man/usched_client_failure.3 \
	man/usched_client_fibers_close.3 \
	man/usched_client_fibers_count.3 \
	man/usched_client_fibers_get.3 \
	man/usched_client_fibers_left_out.3 \
	man/usched_client_fibers_open.3 \
	man/usched_client_fibers_taken_ns.3 \
	man/usched_client_list_close.3 \
	man/usched_client_list_count.3 \
	man/usched_client_list_daemon.3 \
	man/usched_client_list_get.3 \
	man/usched_client_list_left_out.3 \
	man/usched_client_list_open.3 \
	man/usched_client_open.3 \
	man/usched_client_runtime_close.3 \
	man/usched_client_runtime_open.3 \
	man/usched_client_set.3 \
	man/usched_client_snapshot_tunable.3 \
	man/usched_client_tunable_find.3 \
	man/usched_client_snapshot_change.3 \
	man/usched_client_snapshot_close.3 \
	man/usched_client_snapshot_info.3 \
	man/usched_client_snapshot_open.3 \
	man/usched_client_snapshot_worker.3 \
	man/usched_client_text.3 \
	man/usched_client_wait.3 \
	man/usched_close.3 \
	man/usched_code_add.3 \
	man/usched_code_remove.3 \
	man/usched_connect.3 \
	man/usched_detach.3 \
	man/usched_event_destroy.3 \
	man/usched_event_init.3 \
	man/usched_event_wait.3 \
	man/usched_join.3 \
	man/usched_listen.3 \
	man/usched_mutex_init.3 \
	man/usched_mutex_lock.3 \
	man/usched_mutex_unlock.3 \
	man/usched_now.3 \
	man/usched_preempt_disable.3 \
	man/usched_preempt_enable.3 \
	man/usched_post.3 \
	man/usched_read.3 \
	man/usched_runtime_create.3 \
	man/usched_runtime_current.3 \
	man/usched_runtime_destroy.3 \
	man/usched_runtime_reset.3 \
	man/usched_runtime_set_quantum.3 \
	man/usched_runtime_tune.3 \
	man/usched_self.3 \
	man/usched_set_quantum.3 \
	man/usched_sleep_until.3 \
	man/usched_spawn.3 \
	man/usched_version.3 \
	man/usched_write.3 \
	man/usched_yield.3 \
	man/uschedd.8

test_scripts += tests/man-lint.sh
EXTRA_DIST += examples/hello.c
