// SPDX-License-Identifier: Apache-2.0
#include "guest/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest/identity.h"
#include "guest/network.h"
#include "guest/stream.h"
#include "util/cleanup.h"
#include "util/io.h"

/*
 * A VM that is saved while its program runs, and what a restored one does first: docs/restore.md
 * has the promises, docs/protocol.md the frames.
 */

#define CLOCK_DEADLINE_MS 2000u /* for the host's answer; then the clock of the job has to do */
/* An answer that was longer on its way is wrong by as much, so the question is asked again. */
#define CLOCK_ROUND_NS 1000000u
#define CLOCK_TRIES 4u
#define TOLD_DIR "/run/arrow"
#define BOOT_ID TOLD_DIR "/boot_id"
#define BOOT_ID_PROC "/proc/sys/kernel/random/boot_id"
#define ROOT_FAILED "cannot write to the read-only root: %m"
#define SECOND UINT64_C(1000000000)

static uint64_t clock_read_monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void clock_send_question(struct loader *loader)
{
	uint8_t payload[ARROW_TIME_QUESTION_BYTES];

	arrow_time_question_encode(payload, clock_read_monotonic());
	loader->clock_asked = channel_put(&loader->channel, ARROW_CONTROL, ARROW_TIME, payload,
				      sizeof(payload)) == 0;
	/* At once, for what it waits is what the clock will be wrong by. */
	loader->channel.writable = true;
	(void)channel_send(&loader->channel);
}

void clock_ask(struct loader *loader)
{
	loader->clock_best = UINT64_MAX;
	loader->clock_tries = CLOCK_TRIES;
	clock_send_question(loader);
}

void clock_answer(struct loader *loader, const struct arrow_time *time)
{
	uint64_t round = clock_read_monotonic() - time->guest, now = time->host + round;
	struct timespec t = {.tv_sec = (time_t)(now / SECOND), .tv_nsec = (long)(now % SECOND)};

	loader->clock_asked = false;
	if (round < loader->clock_best) {
		loader->clock_best = round;
		/* Where what the host says is no time, the clock of the job stays. */
		if (clock_settime(CLOCK_REALTIME, &t) < 0)
			errno = 0;
	}
	if (loader->clock_best > CLOCK_ROUND_NS && loader->clock_tries > 0) {
		loader->clock_tries--;
		clock_send_question(loader);
	}
}

int clock_wait(struct loader *loader)
{
	struct channel_sink sink = stream_sink(loader);
	uint64_t deadline = now_ms() + CLOCK_DEADLINE_MS;

	while (loader->clock_asked && now_ms() < deadline) {
		struct pollfd port = {.fd = loader->channel.fd, .events = POLLIN};
		int r;

		loader->channel.readable = loader->channel.writable = true;
		r = channel_send(&loader->channel);
		if (r >= 0)
			r = channel_receive(&loader->channel, &sink, 1);
		if (r < 0)
			return r;
		if (r == 0 && !loader->held)
			poll(&port, 1, 10);
	}
	loader->channel.readable = loader->channel.writable = true;
	return 0;
}

static int restore_write_new(const char *path, const char *text)
{
	char work[64];
	_cleanup_close_ int fd = -1;
	int r;

	snprintf(work, sizeof(work), "%s.new", path);
	fd = open(work, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : write_full(fd, text, strlen(text));
	if (r == 0 && rename(work, path) < 0)
		r = -errno;
	return r;
}

/*
 * The kernel makes up a boot_id once, when it is first read. So a new one lies above it, in a file
 * that is written in place from the second time on: a restored Arrow can be saved, too.
 */
static int restore_renew_boot_id(void)
{
	_cleanup_free_ char *text = NULL;
	struct stat file, shown;
	_cleanup_close_ int fd = -1;
	int r = read_file(AT_FDCWD, "/proc/sys/kernel/random/uuid", 64, &text, NULL);

	if (r < 0)
		return r;
	fd = open(BOOT_ID, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
	r = fd < 0 ? -errno : write_full(fd, text, strlen(text));
	if (r < 0)
		return r;
	if (fstat(fd, &file) < 0 || stat(BOOT_ID_PROC, &shown) < 0)
		return -errno;
	if (file.st_dev == shown.st_dev && file.st_ino == shown.st_ino)
		return 0;
	if (mount(BOOT_ID, BOOT_ID_PROC, NULL, MS_BIND, NULL) < 0 ||
		mount(NULL, BOOT_ID_PROC, NULL,
			MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			NULL) < 0)
		return -errno;
	return 0;
}

/* Tells programs who they are now: lines of NAME=value, as /etc/os-release has them. */
static int restore_write_told(const struct job *job)
{
	char text[1024];

	snprintf(text, sizeof(text), "ID=%.128s\nNAME=%.256s\nHOSTNAME=%.64s\nRESTORED=%lld\n",
		job->id ? job->id : "", job->name ? job->name : "",
		job->hostname ? job->hostname : "", (long long)time(NULL));
	return restore_write_new(TOLD_DIR "/restored", text);
}

static int restore_write_files(
	struct loader *loader, const struct job *job, struct failure *failure)
{
	const unsigned long root = MS_REMOUNT | MS_BIND;
	bool read_only = loader->job.flags & ARROW_JOB_READ_ONLY;
	int r;

	if (read_only && mount(NULL, "/", NULL, root, NULL) < 0)
		return fail(failure, 125, errno, ROOT_FAILED);
	identity_forget_machine(loader->job.machine_id);
	r = identity_files(job, failure);
	if (r == 0) {
		r = mkdir_all(TOLD_DIR, 0755);
		if (r == 0)
			r = restore_renew_boot_id();
		if (r == 0)
			r = restore_write_told(job);
		if (r < 0)
			(void)fail(failure, 125, -r, "cannot write " TOLD_DIR ": %m");
	}
	if (read_only && mount(NULL, "/", NULL, root | MS_RDONLY, NULL) < 0 && r == 0)
		r = fail(failure, 125, errno, ROOT_FAILED);
	return r;
}

/* All that makes it another than the saved one. Programs do not run before hold_others_end(). */
static int restore_become(struct loader *loader, struct job *job, struct failure *failure)
{
	int r;

	loader->notes = job->flags & ARROW_JOB_NOTES;
	clock_ask(loader);
	r = identity_unique(job, failure);
	if (r == 0 && clock_wait(loader) < 0)
		r = fail(failure, 125, EPROTO, "the host did not tell the time: %m");
	if (r == 0)
		r = network_renew(&loader->stage, job, failure);
	if (r < 0)
		return r;
	hold_others_end(&loader->hold);
	r = restore_write_files(loader, job, failure);
	if (r < 0)
		return r;
	memcpy(loader->job.machine_id, job->machine_id, sizeof(job->machine_id));
	for (uint32_t number = 1; number <= loader->top; number++)
		stream_rebind(loader, number, job);
	return 0;
}

int restore_begin(struct loader *loader, struct failure *failure)
{
	struct process *program = &loader->processes[PROGRAM - 1];
	struct records *records = &loader->records;
	struct job job = {0};
	const char *why;
	int r;

	/* What was cut off, as it was too large, is malformed. */
	r = job_decode_identity(records->data, records->size, &job, &why);
	if (r < 0)
		r = fail(failure, 125, -r, "the new identity is malformed: %s", why);
	if (r == 0)
		r = restore_become(loader, &job, failure);
	if (r == 0 && job.restore_signal && program->alive)
		kill(program->pid, (int)job.restore_signal);
	job_release(&job);
	loader->held = false;
	return r;
}

void save_hold(struct loader *loader)
{
	struct channel_sink sink = stream_sink(loader);
	struct process *program = &loader->processes[PROGRAM - 1];
	uint8_t payload[ARROW_SAVED_BYTES];
	struct records own = loader->records; /* which loader->job leads into */
	int r = hold_begin(&loader->hold);

	loader->records = (struct records){0};
	arrow_saved_encode(payload, &(struct arrow_saved_frame){
					    .err = r < 0 ? (uint32_t)-r : 0,
					    .stdin_open = program->in.fd >= 0 && !program->in.ended,
				    });
	/* Behind this frame nothing goes to the host, so that it ends where the saved one ends. */
	loader->held = channel_put(&loader->channel, ARROW_CONTROL, ARROW_SAVED, payload,
			       sizeof(payload)) == 0;
	while (loader->held) {
		loader->channel.readable = loader->channel.writable = true;
		r = channel_send(&loader->channel);
		if (r >= 0)
			r = channel_receive(&loader->channel, &sink, 1);
		if (r < 0)
			break; /* found again, and told, by the loop of main.c */
	}
	free(loader->records.data);
	loader->records = own;
	loader->held = false;
	loader->channel.readable = loader->channel.writable = true;
	hold_end(&loader->hold);
}
