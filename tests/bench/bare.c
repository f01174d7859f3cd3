// SPDX-License-Identifier: Apache-2.0
/*
 * What `arrow run` is measured against: the same VM through the same engine, and the host's side of
 * the protocol, with no command line, store, keeper, client or state.
 *
 *   bare [-t] VMLINUX APPEND IMAGE PROGRAM
 *
 * Runs PROGRAM, a path in the root image IMAGE, and ends with its exit status. The verdicts of this
 * boot on KVM and the TSC are where `arrow run` keeps them. -t writes on stderr when each thing
 * happened, in microseconds since the VM was asked for: "= T WHAT" for a step, and
 * "+ T1 T2 TEXT" for a line on the console that began at T1 and was whole at T2.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/control/channel.h"
#include "core/template/jailroot.h"
#include "core/job/job.h"
#include "engine/choice/choice.h"
#include "guest/blob.h"
#include "util/cleanup.h"
#include "util/io.h"

#define DEADLINE_MS 60000 /* of silence: far above what the slowest machine needs */

struct bare {
	struct arrow_vm *vm;
	struct channel guest;
	struct arrow_job job;
	int console_fd;
	bool trace, answered, done;
	uint64_t begin_us;
	int status; /* of the program; -1 until it has ended */

	char line[1024]; /* of the console, and when its first byte came */
	size_t used;
	uint64_t line_us;
};

static void step(const struct bare *b, const char *what)
{
	if (b->trace)
		fprintf(stderr, "= %llu %s\n", (unsigned long long)(now_us() - b->begin_us), what);
}

static void take_console(struct bare *b)
{
	char buf[512];
	ssize_t n = read(b->console_fd, buf, sizeof(buf));
	uint64_t us = now_us() - b->begin_us;

	if (n <= 0) {
		close(b->console_fd);
		b->console_fd = -1;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (b->used == 0)
			b->line_us = us;
		if (buf[i] != '\n' && buf[i] != '\r' && b->used < sizeof(b->line) - 1)
			b->line[b->used++] = buf[i];
		if (buf[i] != '\n')
			continue;
		b->line[b->used] = '\0';
		b->used = 0;
		if (b->trace)
			fprintf(stderr, "+ %llu %llu %s\n", (unsigned long long)b->line_us,
				(unsigned long long)us, b->line);
	}
}

static int hand_job(struct bare *b)
{
	int r = arrow_job_refresh(&b->job);

	for (size_t at = 0; r == 0 && at < b->job.size; at += ARROW_FRAME_MAX) {
		size_t n = b->job.size - at;

		r = channel_send(&b->guest, ARROW_CONTROL, ARROW_JOB, b->job.data + at,
			n < ARROW_FRAME_MAX ? n : ARROW_FRAME_MAX);
	}
	return r < 0 ? r : channel_send(&b->guest, ARROW_CONTROL, ARROW_JOB_END, NULL, 0);
}

/* As the keeper does; the loader waits for it. */
static int tell_time(struct bare *b, uint64_t asked)
{
	struct arrow_time time = {0};
	uint8_t payload[ARROW_TIME_BYTES];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time.guest = asked;
	time.host = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	arrow_time_encode(payload, &time);
	return channel_send(&b->guest, ARROW_CONTROL, ARROW_TIME, payload, sizeof(payload));
}

static int take_frame(struct bare *b, struct arrow_frame f, const uint8_t *payload)
{
	struct arrow_failed failed;
	struct arrow_exited exited;
	uint64_t asked;
	int r;

	if (f.type == ARROW_DATA && f.stream != ARROW_CONTROL)
		return write_full((int)ARROW_STREAM_FD(f.stream), payload, f.length);
	switch (f.type) {
	case ARROW_READY:
		step(b, "ready");
		return hand_job(b);
	case ARROW_TIME:
		r = arrow_time_question_decode(payload, f.length, &asked);
		return r == 0 ? tell_time(b, asked) : r;
	case ARROW_STARTED:
		step(b, "started");
		return 0;
	case ARROW_FAILED:
		r = arrow_failed_decode(payload, f.length, &failed);
		if (r == 0)
			fprintf(stderr, "bare: %.*s\n", (int)failed.length, failed.text);
		return r == 0 ? -EIO : r;
	case ARROW_EXITED:
		step(b, "exited");
		r = arrow_exited_decode(payload, f.length, &exited);
		b->status = r == 0 ? (int)exited.value : 0;
		return r;
	case ARROW_DONE:
		step(b, "done");
		b->done = true;
		return 0;
	default:
		return 0;
	}
}

/* Waits for the next thing to happen, and takes it in. */
static int turn(struct bare *b)
{
	struct pollfd p[2 + ARROW_VM_FDS] = {
		{b->guest.fd, (short)(POLLIN | (channel_pending(&b->guest) ? POLLOUT : 0)), 0},
		{b->console_fd, POLLIN, 0},
	};
	struct arrow_frame frame;
	const uint8_t *payload;
	int r;

	for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
		p[2 + i] = (struct pollfd){b->vm->fds[i], POLLIN, 0};
	r = poll(p, 2 + ARROW_VM_FDS, DEADLINE_MS);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;

	if (p[1].revents)
		take_console(b);
	for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
		if (p[2 + i].revents && b->vm->engine->handle(b->vm, i) == ARROW_VM_ENDED) {
			fprintf(stderr, "bare: %s\n", b->vm->ended ? b->vm->ended : "the VM ended");
			return -EIO;
		}
	if (b->vm->answered && !b->answered) {
		b->answered = true;
		step(b, "answers");
	}
	if (!p[0].revents)
		return 0;
	r = channel_fill(&b->guest);
	if (r < 0)
		return r;
	while (!b->done && (r = channel_next(&b->guest, &frame, &payload)) > 0) {
		r = take_frame(b, frame, payload);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : channel_flush(&b->guest);
}

static int run(struct bare *b, const struct arrow_engine *engine, struct arrow_vm_config *config,
	struct arrow_error *error)
{
	int channel[2], console[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0)
		return arrow_fail(error, errno, "cannot make sockets: %m");
	r = channel_init(&b->guest, channel[0]);
	if (r < 0)
		return arrow_fail(error, -r, "cannot make the channel: %m");
	b->console_fd = console[0];
	config->channel_fd = channel[1];
	config->console_fd = console[1];

	b->begin_us = now_us();
	r = engine->start(&b->vm, config, error);
	close(channel[1]);
	close(console[1]);
	if (r < 0)
		return r;
	if (b->trace)
		b->vm->engine->check(b->vm); /* answered when QEMU is up and its guest runs */
	while (r == 0 && !b->done)
		r = turn(b);
	b->vm->engine->free(b->vm);
	step(b, "gone");
	return r < 0 ? arrow_fail(error, -r, "the run broke off: %m") : 0;
}

int main(int argc, char **argv)
{
	struct bare b = {.status = -1, .console_fd = -1};
	struct arrow_job_context context = {.id = "0123456789abcdef0123456789abcdef"};
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int kernel = -1, image = -1, initrd = -1;
	const char *data = getenv("ARROW_DATA_DIR"), *state = getenv("ARROW_RUN_DIR");
	_cleanup_free_ char *jail_root = NULL;
	struct arrow_engine_choice choice;
	struct arrow_paths paths;
	struct arrow_spec spec;
	int r;

	b.trace = argc > 1 && strcmp(argv[1], "-t") == 0;
	argv += b.trace;
	if (argc - b.trace != 5) {
		fprintf(stderr, "usage: bare [-t] VMLINUX APPEND IMAGE PROGRAM\n");
		return ARROW_STATUS_ERROR;
	}
	kernel = open(argv[1], O_RDONLY | O_CLOEXEC);
	image = open(argv[3], O_RDONLY | O_CLOEXEC);
	initrd = memfd_create("initramfs", MFD_CLOEXEC);
	if (kernel < 0 || image < 0 || initrd < 0 ||
		write_full(initrd, arrow_initramfs,
			(size_t)(arrow_initramfs_end - arrow_initramfs)) < 0) {
		perror("bare: cannot open the kernel or the image");
		return ARROW_STATUS_ERROR;
	}

	arrow_spec_init(&spec);
	context.entrypoint = argv[4];
	r = arrow_paths_init(
		&paths, data ? data : ARROW_SYSTEM_DATA, state ? state : "/run/arrow", &error);
	if (r == 0)
		r = arrow_engine_choose(&choice, NULL, &arrow_engine_defaults, paths.run, &error);
	if (r == 0)
		r = arrow_jail_root(paths.data, choice.engine, choice.settings, &jail_root, &error);
	if (r == 0)
		r = arrow_job_encode(&b.job, &spec, &context, &error);
	if (r == 0)
		r = run(&b, choice.engine,
			&(struct arrow_vm_config){
				.name = "bare",
				.kernel_fd = kernel,
				.initrd_fd = initrd,
				.append = argv[2],
				.memory = spec.limits.memory,
				.vcpus = 1,
				.disks = &(struct arrow_disk){.fd = image},
				.n_disks = 1,
				.share_fd = -1,
				.jail_root = jail_root,
				.userns_fd = -1,
				.mode = choice.mode,
				.settings = choice.settings,
				.tsc_khz = choice.tsc_khz,
			},
			&error);
	if (r < 0) {
		fprintf(stderr, "bare: %s\n", error.text);
		return ARROW_STATUS_ERROR;
	}
	return b.status;
}
