// SPDX-License-Identifier: Apache-2.0
/*
 * Health checks, by the keeper: every interval a command is executed in the Arrow, by a child of
 * the keeper that connects as any `arrow exec` does. As with Docker, failures count once the start
 * period is over or a check succeeded, and so many in a row make the Arrow unhealthy.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/client/exec.h"
#include "core/keeper/state.h"
#include "util/cleanup.h"
#include "util/io.h"

#define DEFAULT_INTERVAL_MS 30000u
#define DEFAULT_TIMEOUT_MS 30000u
#define DEFAULT_START_INTERVAL_MS 5000u
#define DEFAULT_RETRIES 3u
#define RESULTS 5 /* that are kept, as Docker does */

static uint64_t ms_of(uint64_t ns, uint64_t otherwise)
{
	return ns == 0 ? otherwise : ns < 1000000 ? 1 : ns / 1000000;
}

static bool is_checked(const struct keeper *k)
{
	const struct arrow_strings *test = &k->config->spec->life.health.test;

	return test->n > 1 && strcmp(test->v[0], "NONE") != 0;
}

/* Whether failures do not count yet. */
static bool is_starting(const struct keeper *k)
{
	uint64_t period = ms_of(k->config->spec->life.health.start_period, 0);

	return !k->health.succeeded && now_ms() - k->health.begin < period;
}

static void plan_next(struct keeper *k)
{
	const struct arrow_health *h = &k->config->spec->life.health;

	k->health.next =
		now_ms() + (is_starting(k) ? ms_of(h->start_interval, DEFAULT_START_INTERVAL_MS)
					   : ms_of(h->interval, DEFAULT_INTERVAL_MS));
}

void health_begin(struct keeper *k)
{
	json_decref(k->state->health_log);
	k->state->health_log = NULL;
	k->state->health[0] = '\0';
	k->state->health_failures = 0;
	k->health.next = 0;
	if (!is_checked(k))
		return;
	k->health.begin = now_ms();
	k->health.succeeded = false;
	snprintf(k->state->health, sizeof(k->state->health), "starting");
	plan_next(k);
}

static void __attribute__((noreturn)) check(struct keeper *k, int out)
{
	const struct arrow_strings *test = &k->config->spec->life.health.test;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_exec exec = {0};
	int status = 0, r = 0;

	prctl(PR_SET_NAME, "arrow-health");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Nothing of the keeper's may live on in it, its lock least of all. */
	if (dup2(out, 1) < 0 || dup2(out, 2) < 0 || syscall(SYS_close_range, 3, ~0u, 0) < 0)
		_exit(125);
	if (strcmp(test->v[0], "CMD-SHELL") == 0) {
		r = arrow_strings_add(&exec.args, "/bin/sh");
		r = r < 0 ? r : arrow_strings_add(&exec.args, "-c");
	}
	for (size_t i = 1; r == 0 && i < test->n; i++)
		r = arrow_strings_add(&exec.args, test->v[i]);
	if (r == 0 && arrow_exec(k->config->paths, k->instance->id, &exec, &status, &error) < 0) {
		dprintf(1, "%s\n", error.text);
		status = error.status;
	}
	_exit(r < 0 ? 125 : status);
}

static void start_check(struct keeper *k)
{
	struct health *h = &k->health;
	int out[2];

	plan_next(k); /* in case that it cannot be started */
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	fcntl(out[1], F_SETFL, 0);
	h->pid = fork();
	if (h->pid == 0)
		check(k, out[1]);
	close(out[1]);
	if (h->pid < 0) {
		close(out[0]);
		h->pid = 0;
		return;
	}
	h->pid_fd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	h->out_fd = out[0];
	h->used = 0;
	clock_gettime(CLOCK_REALTIME, &h->started);
	h->deadline = now_ms() + ms_of(k->config->spec->life.health.timeout, DEFAULT_TIMEOUT_MS);
	h->next = 0;
}

static void read_output(struct health *h)
{
	char waste[512];
	ssize_t n;

	do {
		size_t room = HEALTH_OUTPUT_MAX - h->used;

		n = room ? read(h->out_fd, h->output + h->used, room)
			 : read(h->out_fd, waste, sizeof(waste));
		if (room && n > 0)
			h->used += (size_t)n;
	} while (n > 0);
	if (n == 0)
		close_keep_errno(steal_fd(&h->out_fd));
}

static void keep_result(struct keeper *k, int status)
{
	struct arrow_state *s = k->state;
	char start[TIME_TEXT], end[TIME_TEXT];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(k->health.started, start);
	time_text_exact(now, end);
	k->health.output[k->health.used] = '\0';
	if (!s->health_log)
		s->health_log = json_array();
	while (json_array_size(s->health_log) >= RESULTS)
		json_array_remove(s->health_log, 0);
	json_array_append_new(s->health_log,
		json_pack("{s:s, s:s, s:i, s:o*}", "start", start, "end", end, "exit_code", status,
			"output", arrow_text_json(k->health.output)));
}

static void take_result(struct keeper *k, int status)
{
	const struct arrow_health *h = &k->config->spec->life.health;
	struct arrow_state *s = k->state;
	char before[sizeof(s->health)], action[48];

	keep_result(k, status);
	memcpy(before, s->health, sizeof(before));
	if (status == 0) {
		k->health.succeeded = true;
		s->health_failures = 0;
		snprintf(s->health, sizeof(s->health), "healthy");
	} else if (!is_starting(k)) {
		s->health_failures++;
		if (s->health_failures >= (h->retries ? h->retries : DEFAULT_RETRIES))
			snprintf(s->health, sizeof(s->health), "unhealthy");
	}
	if (strcmp(before, s->health) != 0) {
		snprintf(action, sizeof(action), "health_status: %s", s->health);
		arrow_event(k->instance, action, NULL);
	}
	k->state_changed = true;
	plan_next(k);
}

/* Ends the child that checks. Returns its wait status. */
static int end_check(struct keeper *k)
{
	struct health *h = &k->health;
	int status = 0;

	kill(h->pid, SIGKILL); /* not reaped yet, so the number is still its own */
	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (h->out_fd >= 0)
		read_output(h);
	close_keep_errno(steal_fd(&h->out_fd));
	close_keep_errno(steal_fd(&h->pid_fd));
	h->pid = 0;
	return status;
}

void health_turn(struct keeper *k)
{
	struct health *h = &k->health;
	siginfo_t info = {0};
	uint64_t now = now_ms();

	if (h->pid > 0) {
		if (h->out_fd >= 0)
			read_output(h);
		if (waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid == h->pid) {
			int status = end_check(k);

			take_result(k, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
		} else if (now >= h->deadline) {
			(void)end_check(k);
			h->used = (size_t)snprintf(h->output, sizeof(h->output),
				"the health check took longer than its timeout");
			take_result(k, -1);
		}
	}
	if (h->pid == 0 && h->next && now >= h->next && k->started && !k->exited &&
		k->state->life == ARROW_LIFE_RUNNING)
		start_check(k);
}

uint64_t health_time(const struct keeper *k)
{
	/* One that is due while the Arrow is paused waits for that to end. */
	if (k->health.pid > 0)
		return k->health.deadline;
	return k->started && k->state->life == ARROW_LIFE_RUNNING ? k->health.next : 0;
}

void health_end(struct keeper *k)
{
	if (k->health.pid > 0)
		(void)end_check(k);
	k->health.next = 0;
	k->state->health[0] = '\0';
}
