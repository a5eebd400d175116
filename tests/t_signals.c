/* SPDX-License-Identifier: MIT */
/*
 * The tick's signal, when the program has a handler for the same number: what is not a tick reaches it as
 * the kernel would bring it there, ticks never do, and a handler that was replaced is told of. Actions
 * belong to the process, so each case sets its own and puts back what was there.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "loop_and_sleeper.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"

/* stderr goes to a file from here on; hear() puts it back and returns what was said. */
static FILE *heard;
static int stderr_before;

static void listen_to_stderr(void)
{
	heard = tmpfile();
	stderr_before = dup(STDERR_FILENO);
	if (!heard || stderr_before < 0)
		abort();
	fflush(stderr);
	dup2(fileno(heard), STDERR_FILENO);
}

static const char *hear(void)
{
	static char text[8192];
	size_t bytes;

	fflush(stderr);
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	rewind(heard);
	bytes = fread(text, 1, sizeof(text) - 1, heard);
	text[bytes] = '\0';
	fclose(heard);
	return text;
}

static unsigned int times(const char *text, const char *word)
{
	unsigned int count = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		count++;
	return count;
}

static void a_loop_and_a_sleeper(struct usched_runtime *runtime)
{
	usched_fiber_t loop, sleeper;

	atomic_store(&enough, false);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &loop, spin, NULL, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &sleeper, comes_and_goes, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(sleeper, NULL, SOON), 0);
	atomic_store(&enough, true);
	CU_ASSERT_EQUAL(usched_join(loop, NULL, SOON), 0);
}

/* What the program's handlers were given. */
static _Atomic unsigned int calls, depth, deepest;
static _Atomic int seen_signal, seen_code, seen_value;
static _Atomic pid_t seen_pid;
static _Atomic bool usr2_blocked, own_blocked;

/* Gives up at some time: then the assertions that follow say what is missing. */
static void await_calls(unsigned int count)
{
	uint64_t end_ns = usched_after(UINT64_C(5000000000));

	while (atomic_load(&calls) < count && usched_now() < end_ns)
		usched_sleep_until(usched_after(100000));
}

static void note_mask(int signal)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	atomic_store(&usr2_blocked, sigismember(&mask, SIGUSR2));
	atomic_store(&own_blocked, sigismember(&mask, signal));
	atomic_store(&seen_signal, signal);
}

static void with_information(int signal, siginfo_t *info, void *context)
{
	atomic_store(&seen_code, info->si_code);
	atomic_store(&seen_pid, info->si_pid);
	atomic_store(&seen_value, info->si_value.sival_int);
	if (context)
		note_mask(signal);
	atomic_fetch_add(&calls, 1);
}

static void plain(int signal)
{
	note_mask(signal);
	atomic_fetch_add(&calls, 1);
}

/* The first call raises the signal twice more. */
static void nested(int signal)
{
	unsigned int now = atomic_fetch_add(&depth, 1) + 1;

	if (now > atomic_load(&deepest))
		atomic_store(&deepest, now);
	if (atomic_fetch_add(&calls, 1) == 0) {
		raise(signal);
		raise(signal);
	}
	atomic_fetch_sub(&depth, 1);
}

static struct sigaction action_before;

static void set_action(int signal, struct sigaction *action)
{
	atomic_store(&calls, 0);
	atomic_store(&depth, 0);
	atomic_store(&deepest, 0);
	CU_ASSERT_EQUAL_FATAL(sigaction(signal, action, &action_before), 0);
}

static void put_action_back(int signal)
{
	CU_ASSERT_EQUAL(sigaction(signal, &action_before, NULL), 0);
}

static struct usched_runtime *start_quietly(void)
{
	struct usched_runtime *runtime;

	listen_to_stderr();
	runtime = start(USCHED_TICK_AUTO);
	hear();
	return runtime;
}

/* For counts of signals to a carrier's thread: one that meets a tick there becomes one with it. */
static struct usched_runtime *start_without_ticks(void)
{
	struct usched_runtime *runtime;

	listen_to_stderr();
	runtime = start_with(USCHED_TICK_AUTO, USCHED_QUANTUM_OFF);
	hear();
	return runtime;
}

/* First in the program, since it is said once in a process. */
static void sharing_is_told_once(void)
{
	struct sigaction action = { .sa_handler = plain };
	struct usched_runtime *runtime;
	const char *said;

	set_action(SIGURG, &action);
	listen_to_stderr();
	for (unsigned int i = 0; i < 3; i++) {
		runtime = start(USCHED_TICK_AUTO);
		CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
		CU_ASSERT(runtime->report_flags & USCHED_REPORT_SIGNAL_SHARED);
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	}
	said = hear();
	CU_ASSERT_EQUAL(times(said, "\n"), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "SIGURG"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "USCHED_SIGNAL"));
	put_action_back(SIGURG);

	listen_to_stderr();
	runtime = start(USCHED_TICK_AUTO);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_FALSE(runtime->report_flags & USCHED_REPORT_SIGNAL_SHARED);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_STRING_EQUAL(hear(), "");
}

/* In a fiber: on a carrier, whose own ticks come beside. */
static void *queues_to_itself(void *argument)
{
	union sigval value = { .sival_int = 4711 };
	siginfo_t info = { .si_signo = SIGURG, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_value = value;
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGURG, &info))
		return argument;
	return NULL;
}

static void *raises(void *argument)
{
	return raise(SIGURG) ? argument : NULL;
}

static void run_fiber(struct usched_runtime *runtime, void *(*function)(void *))
{
	void *result = &runtime;
	usched_fiber_t id;

	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, function, &id, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
}

static void a_handler_gets_all_that_came(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	struct usched_runtime *runtime;

	action.sa_sigaction = with_information;
	sigaddset(&action.sa_mask, SIGUSR2);
	set_action(SIGURG, &action);
	runtime = start_without_ticks();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	/* To the process: this thread takes it, or a carrier. */
	CU_ASSERT_EQUAL(kill(getpid(), SIGURG), 0);
	await_calls(1);
	CU_ASSERT_EQUAL(atomic_load(&seen_code), SI_USER);
	CU_ASSERT_EQUAL(atomic_load(&seen_pid), getpid());
	CU_ASSERT(atomic_load(&usr2_blocked));
	CU_ASSERT(atomic_load(&own_blocked));
	/* To a carrier's thread. */
	run_fiber(runtime, queues_to_itself);
	CU_ASSERT_EQUAL(atomic_load(&calls), 2);
	CU_ASSERT_EQUAL(atomic_load(&seen_code), SI_QUEUE);
	CU_ASSERT_EQUAL(atomic_load(&seen_value), 4711);
	run_fiber(runtime, raises);
	CU_ASSERT_EQUAL(atomic_load(&calls), 3);
	CU_ASSERT_EQUAL(atomic_load(&seen_code), SI_TKILL);
	/* And not one of all the ticks. */
	CU_ASSERT_EQUAL(usched_runtime_set_quantum(runtime, 1000000), 0);
	a_loop_and_a_sleeper(runtime);
	CU_ASSERT_EQUAL(atomic_load(&calls), 3);
	CU_ASSERT(handoffs(runtime) > 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_EQUAL(atomic_load(&calls), 3);
	put_action_back(SIGURG);
}

static void a_plain_handler_gets_the_number(void)
{
	struct sigaction action = { .sa_handler = plain };
	struct usched_runtime *runtime;

	set_action(SIGURG, &action);
	runtime = start_without_ticks();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL(raise(SIGURG), 0);
	run_fiber(runtime, raises);
	CU_ASSERT_EQUAL(atomic_load(&calls), 2);
	CU_ASSERT_EQUAL(atomic_load(&seen_signal), SIGURG);
	CU_ASSERT_FALSE(atomic_load(&usr2_blocked));
	CU_ASSERT(atomic_load(&own_blocked));
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	put_action_back(SIGURG);
}

/* Without SA_NODEFER the second and third signal wait, and are one; with it each nests. */
static void a_handler_is_deferred_as_it_asked(void)
{
	struct sigaction action = { .sa_handler = nested };
	struct usched_runtime *runtime;

	set_action(SIGURG, &action);
	runtime = start_without_ticks();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	run_fiber(runtime, raises);
	CU_ASSERT_EQUAL(atomic_load(&deepest), 1);
	CU_ASSERT_EQUAL(atomic_load(&calls), 2);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	put_action_back(SIGURG);

	action.sa_flags = SA_NODEFER;
	set_action(SIGURG, &action);
	runtime = start_without_ticks();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	run_fiber(runtime, raises);
	CU_ASSERT_EQUAL(atomic_load(&deepest), 2);
	CU_ASSERT_EQUAL(atomic_load(&calls), 3);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	put_action_back(SIGURG);
}

static void a_handler_for_one_call_is_called_once(void)
{
	struct sigaction action = { .sa_handler = plain, .sa_flags = SA_RESETHAND }, now;
	struct usched_runtime *runtime;

	set_action(SIGURG, &action);
	runtime = start_without_ticks();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	run_fiber(runtime, raises);
	run_fiber(runtime, raises);
	CU_ASSERT_EQUAL(raise(SIGURG), 0);
	CU_ASSERT_EQUAL(atomic_load(&calls), 1);
	CU_ASSERT_EQUAL(usched_runtime_set_quantum(runtime, 1000000), 0);
	a_loop_and_a_sleeper(runtime);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_EQUAL(sigaction(SIGURG, NULL, &now), 0);
	CU_ASSERT_PTR_EQUAL((void *)now.sa_handler, (void *)SIG_DFL);
	put_action_back(SIGURG);
}

/* The last runtime puts the program's action back, unless the program has put another one on top. */
static void the_action_is_put_back(void)
{
	struct sigaction action = { .sa_handler = plain }, now, ours;
	struct usched_runtime *runtime, *second;

	set_action(SIGURG, &action);
	runtime = start_quietly();
	second = start_quietly();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_PTR_NOT_NULL_FATAL(second);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_EQUAL(sigaction(SIGURG, NULL, &ours), 0);
	CU_ASSERT_PTR_NOT_EQUAL((void *)ours.sa_handler, (void *)plain);
	a_loop_and_a_sleeper(second);
	CU_ASSERT_EQUAL(usched_runtime_destroy(second, SOON), 0);
	CU_ASSERT_EQUAL(sigaction(SIGURG, NULL, &now), 0);
	CU_ASSERT_PTR_EQUAL((void *)now.sa_handler, (void *)plain);
	put_action_back(SIGURG);
}

/* The program stands before us and calls us, as signal libraries do. Nobody calls in a circle. */
static struct sigaction below;

static void calls_what_was_there(int signal, siginfo_t *info, void *context)
{
	if (info->si_code == SI_TKILL)
		atomic_fetch_add(&calls, 1);
	below.sa_sigaction(signal, info, context);
}

static void a_handler_above_ours_may_call_it(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	struct usched_runtime *runtime = start_quietly();
	const char *said;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	action.sa_sigaction = calls_what_was_there;
	set_action(SIGURG, &action);
	below = action_before;
	listen_to_stderr();
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t before = handoffs(runtime);

		a_loop_and_a_sleeper(runtime);
		CU_ASSERT(handoffs(runtime) > before);
		run_fiber(runtime, raises);
		CU_ASSERT_EQUAL(atomic_load(&calls), i + 1);
		/* The second one finds ours below somebody's. */
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		runtime = start(USCHED_TICK_AUTO);
		CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	}
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	said = hear();
	CU_ASSERT_EQUAL(times(said, "replaced"), 0);
	/* What is below is ours, without a runtime: then the default is the end of the story. */
	action.sa_flags = 0;
	action.sa_handler = SIG_DFL;
	sigemptyset(&action.sa_mask);
	CU_ASSERT_EQUAL(sigaction(SIGURG, &action, NULL), 0);
}

static void a_replaced_handler_is_told_of(void)
{
	struct sigaction action = { .sa_handler = plain };
	struct usched_runtime *runtime = start_quietly();
	uint64_t before;
	const char *said;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	set_action(SIGURG, &action);
	listen_to_stderr();
	/* The monitor takes the worker from a carrier that computes and gets no ticks. */
	a_loop_and_a_sleeper(runtime);
	a_loop_and_a_sleeper(runtime);
	said = hear();
	CU_ASSERT_EQUAL(times(said, "replaced the handler of signal 23"), 1);
	CU_ASSERT_EQUAL(times(said, "\n"), 1);
	CU_ASSERT(usched_tick_is_replaced());
	put_action_back(SIGURG);
	CU_ASSERT_FALSE(usched_tick_is_replaced());
	before = handoffs(runtime);
	a_loop_and_a_sleeper(runtime);
	CU_ASSERT(handoffs(runtime) > before);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/* What a socket sends for out-of-band data: the reason that SIGURG exists. */
static void urgent_data_of_sockets_arrives(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sigaction action = { .sa_handler = plain };
	socklen_t bytes = sizeof(address);
	struct usched_runtime *runtime;
	int listener, client, server;
	usched_fiber_t loop;
	char byte = 0;

	if (USCHED_TSAN)
		USCHED_SKIP("tsan: drops a signal while it holds back a tick of its number");
	set_action(SIGURG, &action);
	runtime = start_quietly();
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, bytes), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
	CU_ASSERT_EQUAL_FATAL(connect(client, (struct sockaddr *)&address, bytes), 0);
	server = accept(listener, NULL, NULL);
	CU_ASSERT_FATAL(server >= 0);
	CU_ASSERT_EQUAL(fcntl(server, F_SETOWN, getpid()), 0);
	/* Beside ticks. */
	atomic_store(&enough, false);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &loop, spin, NULL, NULL), 0);
	for (unsigned int i = 1; i <= 20 && atomic_load(&calls) == i - 1; i++) {
		CU_ASSERT_EQUAL(send(client, "u", 1, MSG_OOB), 1);
		await_calls(i);
		CU_ASSERT_EQUAL(recv(server, &byte, 1, MSG_OOB), 1);
		CU_ASSERT_EQUAL(byte, 'u');
	}
	CU_ASSERT_EQUAL(atomic_load(&calls), 20);
	atomic_store(&enough, true);
	CU_ASSERT_EQUAL(usched_join(loop, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	close(server);
	close(client);
	close(listener);
	put_action_back(SIGURG);
}

/*
 * Input on a descriptor of the program's, which asked for the tick's number and for this very thread: it
 * looks as a perf event's tick does, but for the descriptor.
 */
static int async_pipe[2];

static void *input_signals_itself(void *argument)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid) };

	if (fcntl(async_pipe[0], F_SETOWN_EX, &owner) || fcntl(async_pipe[0], F_SETSIG, SIGURG) ||
	    fcntl(async_pipe[0], F_SETFL, O_ASYNC | O_NONBLOCK))
		return argument;
	return write(async_pipe[1], "x", 1) == 1 ? NULL : argument;
}

static void input_that_looks_like_a_tick_arrives(void)
{
	static const enum usched_tick ticks[] = {
		USCHED_TICK_AUTO, USCHED_TICK_TIMER, USCHED_TICK_TIMERFD,
	};

	for (unsigned int i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
		struct sigaction action = { .sa_flags = SA_SIGINFO };
		struct usched_runtime *runtime;
		uint64_t counted = 0;

		action.sa_sigaction = with_information;
		set_action(SIGURG, &action);
		CU_ASSERT_EQUAL_FATAL(pipe(async_pipe), 0);
		listen_to_stderr();
		runtime = start_with(ticks[i], USCHED_QUANTUM_OFF);
		hear();
		CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
		run_fiber(runtime, input_signals_itself);
		await_calls(1);
		CU_ASSERT_EQUAL(atomic_load(&calls), 1);
		CU_ASSERT_EQUAL(atomic_load(&seen_code), POLL_IN);
		for (uint32_t j = 0; j < runtime->scheduler.worker_count; j++)
			counted += atomic_load(&runtime->scheduler.workers[j].counters.ticks);
		CU_ASSERT_EQUAL(counted, 0);
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		close(async_pipe[0]);
		close(async_pipe[1]);
		put_action_back(SIGURG);
	}
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "sharing_is_told_once", sharing_is_told_once },
		{ "a_handler_gets_all_that_came", a_handler_gets_all_that_came },
		{ "a_plain_handler_gets_the_number", a_plain_handler_gets_the_number },
		{ "a_handler_is_deferred_as_it_asked", a_handler_is_deferred_as_it_asked },
		{ "a_handler_for_one_call_is_called_once", a_handler_for_one_call_is_called_once },
		{ "the_action_is_put_back", the_action_is_put_back },
		{ "a_replaced_handler_is_told_of", a_replaced_handler_is_told_of },
		{ "urgent_data_of_sockets_arrives", urgent_data_of_sockets_arrives },
		{ "input_that_looks_like_a_tick_arrives", input_that_looks_like_a_tick_arrives },
		{ "a_handler_above_ours_may_call_it", a_handler_above_ours_may_call_it },
	};

	return usched_test_main("signals", tests, sizeof(tests) / sizeof(tests[0]));
}
