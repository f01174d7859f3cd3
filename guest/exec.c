// SPDX-License-Identifier: Apache-2.0
#include "guest/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/start.h"
#include "guest/stream.h"
#include "util/cleanup.h"

/*
 * Processes beside the program. The host chooses the number of each; a number is free again once
 * EXITED and the ends of stdout and stderr are sent, or FAILED is. What is to be told waits here
 * until the queue has room, so a host that asks for much and reads nothing stops only itself.
 */

/* Starts what the records describe. They are still there afterwards. */
static int exec_start(
	struct loader *loader, struct process *p, uint32_t number, struct failure *failure)
{
	struct records records = p->records;
	const struct job *program = &loader->job;
	_cleanup_free_ char **env = NULL;
	struct job job;
	const char *why;
	int r;

	if (loader->life != LIFE_RUN)
		return fail(failure, 126, ESRCH, "the Arrow is not running");
	if (records.overflow || records.size == 0)
		return fail(failure, 125, EINVAL, "the command is %s",
			records.overflow ? "too large for the Arrow's memory" : "missing");
	r = job_decode_exec(records.data, records.size, &job, &why);
	if (r < 0)
		return fail(failure, 125, -r, "the command is malformed: %s", why);

	env = job_merge_env(program->env, job.env);
	if (!env) {
		job_release(&job);
		return fail(failure, 125, ENOMEM, "cannot keep the environment: %m");
	}
	job.env = env;
	if (!job.cwd)
		job.cwd = program->cwd;
	if (!job.user)
		job.user = program->user;
	if (!job.has_caps && !(job.flags & ARROW_JOB_PRIVILEGED))
		job.caps = program->caps;
	job.groups = program->groups;
	job.flags |= program->flags & ARROW_JOB_NO_NEW_PRIVS;
	job.rlimits = program->rlimits;
	job.rlimit_count = program->rlimit_count;
	job.cpu_max = program->cpu_max;
	job.pids_max = program->pids_max;
	loader->outlives |= job_outlives(&job);
	r = start_process(&loader->stage, &job, false, p, failure);
	if (r == 0)
		r = stream_watch(loader, number);
	if (r < 0 && p->used) {
		fail(failure, 125, -r, "cannot watch the program's streams: %m");
		kill(p->pid, SIGKILL);
		process_close_streams(p);
	}
	job_release(&job);
	return r;
}

void exec_begin(struct loader *loader, uint32_t number)
{
	struct process *p = process_vacant(loader->processes, number);
	struct failure *failure;
	struct records records;

	if (!p)
		return;
	if (loader->top < number)
		loader->top = number;
	records = p->records;
	failure = calloc(1, sizeof(*failure));
	if (failure && exec_start(loader, p, number, failure) == 0) {
		p->tell_start = true;
		free(failure);
	} else {
		*p = (struct process){.failure = failure};
	}
	free(records.data);
	if (!p->used && !failure) /* not even memory for the reason: an end without a start */
		*p = (struct process){.used = true,
			.tell_exit = true,
			.exit_value = 125,
			.tty = -1,
			.slave = -1,
			.in = {.fd = -1},
			.out = {{.fd = -1, .tell = true}, {.fd = -1, .tell = true}}};
}

static void exec_tell_failure(struct loader *loader, struct process *p, uint32_t number)
{
	uint8_t payload[ARROW_FAILED_MAX];
	size_t size = failure_encode(payload, number, p->failure);

	if (channel_offer(&loader->channel, ARROW_CONTROL, ARROW_FAILED, payload, size) < 0)
		return;
	free(p->failure);
	p->failure = NULL;
}

static void exec_tell(struct loader *loader, struct process *p, uint32_t number)
{
	uint8_t started[ARROW_STARTED_BYTES], exited[ARROW_EXITED_BYTES];

	arrow_started_encode(started, &(struct arrow_started){number, (uint32_t)p->pid});
	if (p->tell_start && channel_offer(&loader->channel, ARROW_CONTROL, ARROW_STARTED, started,
				     sizeof(started)) == 0)
		p->tell_start = false;
	arrow_exited_encode(exited, &(struct arrow_exited){number, p->exit_how, p->exit_value});
	if (p->tell_exit && !p->tell_start &&
		channel_offer(
			&loader->channel, ARROW_CONTROL, ARROW_EXITED, exited, sizeof(exited)) == 0)
		p->tell_exit = false;
}

void exec_pump(struct loader *loader)
{
	for (uint32_t number = PROGRAM + 1; number <= loader->top; number++) {
		struct process *p = &loader->processes[number - 1];

		if (p->failure)
			exec_tell_failure(loader, p, number);
		else if (p->used)
			exec_tell(loader, p, number);
		if (process_is_finished(p))
			*p = (struct process){0};
	}
	while (loader->top > PROGRAM && !loader->processes[loader->top - 1].used &&
		!loader->processes[loader->top - 1].failure)
		loader->top--;
}
