// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/health.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/client/exec.h"
#include "core/instance/event.h"
#include "core/spec/spec_json.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/title.h"

#define DEFAULT_INTERVAL_MS 30000u
#define DEFAULT_TIMEOUT_MS 30000u
#define DEFAULT_START_INTERVAL_MS 5000u
#define DEFAULT_RETRIES 3u
#define RESULTS 5 /* that are kept, as Docker does */

static uint64_t health_ms(uint64_t ns, uint64_t otherwise)
{
	return ns == 0 ? otherwise : ns < 1000000 ? 1 : ns / 1000000;
}

static bool health_is_checked(const struct health *h)
{
	const struct arrow_strings *test = &h->config->test;

	return test->n > 1 && strcmp(test->v[0], "NONE") != 0;
}

/* Whether failures do not count yet. */
static bool health_is_starting(const struct health *h)
{
	return !h->succeeded && now_ms() - h->begin < health_ms(h->config->start_period, 0);
}

static void health_plan_next(struct health *h)
{
	const struct arrow_health *c = h->config;

	h->next = now_ms() +
		  (health_is_starting(h) ? health_ms(c->start_interval, DEFAULT_START_INTERVAL_MS)
					 : health_ms(c->interval, DEFAULT_INTERVAL_MS));
}

void health_begin(struct health *h)
{
	struct arrow_state *s = &h->instance->state;

	json_decref(s->health_log);
	s->health_log = NULL;
	s->health[0] = '\0';
	s->health_failures = 0;
	h->next = 0;
	if (!health_is_checked(h))
		return;
	h->begin = now_ms();
	h->succeeded = false;
	snprintf(s->health, sizeof(s->health), "starting");
	health_plan_next(h);
}

/* The child that checks. */
static void __attribute__((noreturn)) health_run_check(const struct health *h, int out)
{
	const struct arrow_strings *test = &h->config->test;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_exec exec = {0};
	int status = 0, r = 0;

	title_set("arrow-health", NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It must not keep anything of the keeper's open, above all not its lock. */
	if (dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(125);
	close_all_but(NULL, 0);
	if (strcmp(test->v[0], "CMD-SHELL") == 0) {
		r = arrow_strings_add(&exec.args, "/bin/sh");
		r = r < 0 ? r : arrow_strings_add(&exec.args, "-c");
	}
	for (size_t i = 1; r == 0 && i < test->n; i++)
		r = arrow_strings_add(&exec.args, test->v[i]);
	if (r == 0 && arrow_exec(h->paths, h->instance->id, &exec, &status, &error) < 0) {
		dprintf(1, "%s\n", error.text);
		status = error.status;
	}
	_exit(r < 0 ? 125 : status);
}

static void health_start_check(struct health *h)
{
	int out[2];

	health_plan_next(h); /* in case it cannot be started */
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	fcntl(out[1], F_SETFL, 0);
	h->pid = fork();
	if (h->pid == 0)
		health_run_check(h, out[1]);
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
	h->deadline = now_ms() + health_ms(h->config->timeout, DEFAULT_TIMEOUT_MS);
	h->next = 0;
}

static void health_read_output(struct health *h)
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

static void health_keep_result(struct health *h, int status)
{
	struct arrow_state *s = &h->instance->state;
	char start[TIME_TEXT], end[TIME_TEXT];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(h->started, start);
	time_text_exact(now, end);
	h->output[h->used] = '\0';
	if (!s->health_log)
		s->health_log = json_array();
	while (json_array_size(s->health_log) >= RESULTS)
		json_array_remove(s->health_log, 0);
	json_array_append_new(
		s->health_log, json_pack("{s:s, s:s, s:i, s:o*}", "start", start, "end", end,
				       "exit_code", status, "output", arrow_text_json(h->output)));
}

static void health_take_result(struct health *h, int status)
{
	struct arrow_state *s = &h->instance->state;
	char before[sizeof(s->health)], action[48];

	health_keep_result(h, status);
	memcpy(before, s->health, sizeof(before));
	if (status == 0) {
		h->succeeded = true;
		s->health_failures = 0;
		snprintf(s->health, sizeof(s->health), "healthy");
	} else if (!health_is_starting(h)) {
		s->health_failures++;
		if (s->health_failures >=
			(h->config->retries ? h->config->retries : DEFAULT_RETRIES))
			snprintf(s->health, sizeof(s->health), "unhealthy");
	}
	if (strcmp(before, s->health) != 0) {
		snprintf(action, sizeof(action), "health_status: %s", s->health);
		arrow_event(h->instance, action, NULL);
	}
	health_plan_next(h);
}

/* Ends the child that checks. Returns its wait status. */
static int health_end_check(struct health *h)
{
	int status = 0;

	kill(h->pid, SIGKILL); /* not reaped yet, so the number is still its own */
	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (h->out_fd >= 0)
		health_read_output(h);
	close_keep_errno(steal_fd(&h->out_fd));
	close_keep_errno(steal_fd(&h->pid_fd));
	h->pid = 0;
	return status;
}

bool health_turn(struct health *h, bool runs)
{
	siginfo_t info = {0};
	uint64_t now = now_ms();
	bool result = false;

	if (h->pid > 0) {
		if (h->out_fd >= 0)
			health_read_output(h);
		if (waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid == h->pid) {
			int status = health_end_check(h);

			health_take_result(h, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
			result = true;
		} else if (now >= h->deadline) {
			(void)health_end_check(h);
			h->used = (size_t)snprintf(h->output, sizeof(h->output),
				"the health check took longer than its timeout");
			health_take_result(h, -1);
			result = true;
		}
	}
	if (h->pid == 0 && h->next && now >= h->next && runs)
		health_start_check(h);
	return result;
}

uint64_t health_time(const struct health *h, bool runs)
{
	if (h->pid > 0)
		return h->deadline;
	/* A check that is due while the Arrow is paused waits until it is unpaused. */
	return runs ? h->next : 0;
}

void health_end(struct health *h)
{
	if (h->pid > 0)
		(void)health_end_check(h);
	h->next = 0;
	h->instance->state.health[0] = '\0';
}
